import { api, page } from "../../api/client";
import { SnapshotList } from "../snapshots/SnapshotList";
import { useSandbox } from "./Sandbox";

export function SandboxSnapshots() {
  const sandboxID = useSandbox().data?.sandboxID ?? "";
  return (
    <SnapshotList
      queryKey={[sandboxID]}
      load={(nextToken) => page(api.GET("/snapshots", { params: { query: { sandboxID, nextToken, limit: 50 } } }))}
      empty="Take one with the button above: sandboxes are made from it as from a template, while this one goes on."
    />
  );
}

import type { Schemas } from "../../api/client";

type Shown = Pick<Schemas["SandboxDetail"], "state" | "failure" | "pauseMode">;

/** Whether a sandbox runs; one that has failed says why in its tooltip. */
export function SandboxState({ sandbox }: { sandbox: Shown }) {
  if (sandbox.failure !== undefined) {
    return (
      <span className="state bad" title={sandbox.failure}>
        Failed
      </span>
    );
  }
  if (sandbox.state === "running") return <span className="state ok">Running</span>;
  return <span className="state">{sandbox.pauseMode === "filesystem" ? "Paused, disk only" : "Paused"}</span>;
}

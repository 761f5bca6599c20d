import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { api, ok } from "../../api/client";
import { type Guest, guestOf } from "../../api/connect";
import { Button } from "../../ui/controls";
import { Empty, ErrorNote, Loading, useAct } from "../../ui/notes";
import { useSandbox } from "./Sandbox";

/** Gives its content the way to the guest agent, or says why there is none. */
export function WithGuest({ children }: { children: (guest: Guest) => ReactNode }) {
  const sandbox = useSandbox().data;
  const guest = useQuery({
    queryKey: ["guest", sandbox?.sandboxID, sandbox?.envdAccessToken],
    queryFn: () => guestOf(sandbox?.sandboxID ?? "", sandbox?.domain, sandbox?.envdAccessToken),
    enabled: sandbox?.state === "running",
    staleTime: Number.POSITIVE_INFINITY,
  });
  if (sandbox === undefined) return <Loading />;
  if (sandbox.state !== "running")
    return <NotRunning sandboxID={sandbox.sandboxID} failed={sandbox.failure !== undefined} />;
  if (guest.isError) return <ErrorNote error={guest.error} retry={() => void guest.refetch()} />;
  if (guest.data === undefined) return <Loading />;
  return children(guest.data);
}

const resumeTimeout = 900;

function NotRunning({ sandboxID, failed }: { sandboxID: string; failed: boolean }) {
  const act = useAct();
  const [busy, setBusy] = useState(false);
  const sandbox = useSandbox();
  const resume = async () => {
    setBusy(true);
    await act(async () => {
      await ok(
        api.POST("/sandboxes/{sandboxID}/resume", {
          params: { path: { sandboxID } },
          body: { timeout: resumeTimeout },
        }),
      );
      await sandbox.refetch();
    });
    setBusy(false);
  };
  return (
    <section className="panel">
      <Empty title={failed ? "It has failed" : "It is paused"}>
        <p>
          {failed
            ? "The overview says why."
            : "Its memory and disk are kept. It has to run for this page to look inside."}
        </p>
        {!failed && (
          <Button kind="primary" disabled={busy} onClick={resume}>
            {busy ? "Resuming…" : "Resume"}
          </Button>
        )}
      </Empty>
    </section>
  );
}

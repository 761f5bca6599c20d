import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, ok } from "../../api/client";
import { Button, Check, Choice, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { useAct, useTell } from "../../ui/notes";
import type { SandboxDetail } from "./Sandbox";

/** How long a sandbox lives that is resumed here, in seconds. */
const resumeTimeout = 900;

type Asking = "kill" | "pause" | "fork" | "snapshot" | null;

export function Actions({ sandbox }: { sandbox: SandboxDetail }) {
  const [asking, setAsking] = useState<Asking>(null);
  const [resuming, setResuming] = useState(false);
  const act = useAct();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const path = { sandboxID: sandbox.sandboxID };
  const running = sandbox.state === "running";
  const refresh = () => queries.invalidateQueries({ queryKey: ["sandboxes"] });
  const close = () => setAsking(null);
  async function resume() {
    setResuming(true);
    await act(async () => {
      const memory = sandbox.envdUnresponsiveAtPause !== true && sandbox.pauseMode !== "filesystem";
      await ok(
        api.POST("/sandboxes/{sandboxID}/resume", { params: { path }, body: { timeout: resumeTimeout, memory } }),
      );
      await refresh();
    });
    setResuming(false);
  }
  async function kill() {
    await ok(api.DELETE("/sandboxes/{sandboxID}", { params: { path } }));
    await navigate({ to: "/app/sandboxes" });
    await refresh();
  }
  return (
    <>
      {running ? (
        <Button onClick={() => setAsking("pause")}>Pause</Button>
      ) : (
        sandbox.failure === undefined && (
          <Button kind="primary" disabled={resuming} onClick={resume}>
            {resuming ? "Resuming…" : "Resume"}
          </Button>
        )
      )}
      {sandbox.failure === undefined && (
        <>
          <Button onClick={() => setAsking("fork")}>Fork</Button>
          <Button onClick={() => setAsking("snapshot")}>Take snapshot</Button>
        </>
      )}
      <Button kind="danger" onClick={() => setAsking("kill")}>
        Kill
      </Button>
      {asking === "kill" && (
        <Confirm
          title={`Kill ${sandbox.sandboxID}?`}
          action={`Kill ${sandbox.sandboxID}`}
          onClose={close}
          onConfirm={kill}
        >
          <p>Its memory and disk are lost. Snapshots that were taken of it stay.</p>
        </Confirm>
      )}
      {asking === "pause" && <Pause sandboxID={sandbox.sandboxID} onClose={close} onDone={refresh} />}
      {asking === "fork" && <Fork sandboxID={sandbox.sandboxID} onClose={close} onDone={refresh} />}
      {asking === "snapshot" && <Snapshot sandboxID={sandbox.sandboxID} onClose={close} />}
    </>
  );
}

interface AskProps {
  sandboxID: string;
  onClose: () => void;
  onDone: () => Promise<unknown>;
}

function Pause({ sandboxID, onClose, onDone }: AskProps) {
  const [memory, setMemory] = useState(true);
  return (
    <Dialog
      title={`Pause ${sandboxID}?`}
      narrow
      submit="Pause"
      onClose={onClose}
      onSubmit={async () => {
        await ok(api.POST("/sandboxes/{sandboxID}/pause", { params: { path: { sandboxID } }, body: { memory } }));
        await onDone();
      }}
    >
      <p>Connections to it end. It goes on where it was when it is resumed.</p>
      <Check checked={memory} onChange={setMemory}>
        Keep its memory. Without, it boots from its disk when it is resumed, and what runs is lost.
      </Check>
    </Dialog>
  );
}

function Fork({ sandboxID, onClose, onDone }: AskProps) {
  const [count, setCount] = useState("1");
  const [timeout, setTimeoutSeconds] = useState("900");
  const tell = useTell();
  const navigate = useNavigate();
  async function fork() {
    const results = await ok(
      api.POST("/sandboxes/{sandboxID}/fork", {
        params: { path: { sandboxID } },
        body: { count: Number(count), timeout: Number(timeout) },
      }),
    );
    await onDone();
    for (const { error } of results) if (error !== undefined) tell({ error: new Error(error.message) });
    const made = results.flatMap(({ sandbox }) => sandbox ?? []);
    const [first] = made;
    if (first === undefined) return;
    tell({ text: `Forked into ${made.map((one) => one.sandboxID).join(", ")}.` });
    if (made.length === 1) {
      await navigate({ to: "/app/sandboxes/$sandboxID", params: { sandboxID: first.sandboxID } });
    }
  }
  return (
    <Dialog title={`Fork ${sandboxID}`} narrow submit="Fork" onClose={onClose} onSubmit={fork}>
      <p>Each fork begins with this sandbox's memory, disk and processes, and goes its own way.</p>
      <div className="columns">
        <Field
          label="How many"
          type="number"
          min={1}
          max={100}
          required
          value={count}
          onChange={(event) => setCount(event.target.value)}
        />
        <Choice
          label="Time to live"
          value={timeout}
          options={[
            ["300", "5 minutes"],
            ["900", "15 minutes"],
            ["3600", "1 hour"],
          ]}
          onChange={setTimeoutSeconds}
        />
      </div>
    </Dialog>
  );
}

export function Snapshot({ sandboxID, onClose }: { sandboxID: string; onClose: () => void }) {
  const [name, setName] = useState("");
  const [memory, setMemory] = useState(true);
  const tell = useTell();
  const queries = useQueryClient();
  return (
    <Dialog
      title={`Take a snapshot of ${sandboxID}`}
      narrow
      submit="Take snapshot"
      onClose={onClose}
      onSubmit={async () => {
        const made = await ok(
          api.POST("/sandboxes/{sandboxID}/snapshots", {
            params: { path: { sandboxID } },
            body: { name: name.trim() === "" ? undefined : name.trim(), memory },
          }),
        );
        await queries.invalidateQueries({ queryKey: ["snapshots"] });
        tell({ text: `Snapshot ${made.snapshotID} is taken.` });
      }}
    >
      <p>Sandboxes are made from it as from a template, while this one goes on.</p>
      <Field
        label="Name"
        hint="name or name:tag; left empty, it goes by an ID. A name that is taken moves to the new snapshot."
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <Check checked={memory} onChange={setMemory}>
        With its memory. Without, sandboxes that are made from it boot.
      </Check>
    </Dialog>
  );
}

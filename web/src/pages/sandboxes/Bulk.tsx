import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok } from "../../api/client";
import { Button } from "../../ui/controls";
import { Confirm } from "../../ui/dialog";
import { messageOf, useTell } from "../../ui/notes";
import type { ListedSandbox } from "./List";

/** How many requests are under way at once. */
const width = 4;

interface Outcome {
  done: number;
  failures: string[];
}

/** Does the same to several sandboxes; a failure does not stop the others. */
async function each(sandboxes: ListedSandbox[], action: (sandboxID: string) => Promise<unknown>): Promise<Outcome> {
  const outcome: Outcome = { done: 0, failures: [] };
  const waiting = [...sandboxes];
  async function work() {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        await action(next.sandboxID);
        outcome.done++;
      } catch (error) {
        outcome.failures.push(`${next.sandboxID}: ${messageOf(error)}`);
      }
    }
  }
  await Promise.all(Array.from({ length: width }, work));
  return outcome;
}

const kill = (sandboxID: string) => ok(api.DELETE("/sandboxes/{sandboxID}", { params: { path: { sandboxID } } }));
const pauseOne = (sandboxID: string) =>
  ok(api.POST("/sandboxes/{sandboxID}/pause", { params: { path: { sandboxID } }, body: {} }));

export function BulkActions({ chosen, onDone }: { chosen: ListedSandbox[]; onDone: () => void }) {
  const [asking, setAsking] = useState<"kill" | "pause" | null>(null);
  const queries = useQueryClient();
  const tell = useTell();
  const running = chosen.filter((sandbox) => sandbox.state === "running");
  async function run(sandboxes: ListedSandbox[], action: (sandboxID: string) => Promise<unknown>, verb: string) {
    const { done, failures } = await each(sandboxes, action);
    await queries.invalidateQueries({ queryKey: ["sandboxes"] });
    onDone();
    if (done > 0) tell({ text: `${done} of ${sandboxes.length} sandboxes ${verb}.` });
    if (failures.length > 0) tell({ error: new Error(failures.join("\n")) });
  }
  return (
    <section className="note" aria-label="Chosen sandboxes">
      <span className="grow">{chosen.length} chosen</span>
      <Button small disabled={running.length === 0} onClick={() => setAsking("pause")}>
        Pause
      </Button>
      <Button small kind="danger" onClick={() => setAsking("kill")}>
        Kill
      </Button>
      <Button small kind="plain" onClick={onDone}>
        Choose none
      </Button>
      {asking === "kill" && (
        <Confirm
          title={`Kill ${chosen.length} sandboxes?`}
          action="Kill"
          typed={`kill ${chosen.length}`}
          onClose={() => setAsking(null)}
          onConfirm={() => run(chosen, kill, "killed")}
        >
          <p>Their memory and disks are lost. Snapshots that were taken of them stay.</p>
          <Names of={chosen} />
        </Confirm>
      )}
      {asking === "pause" && (
        <Confirm
          title={`Pause ${running.length} sandboxes?`}
          action="Pause"
          onClose={() => setAsking(null)}
          onConfirm={() => run(running, pauseOne, "paused")}
        >
          <p>They keep memory and disk, and go on where they were when they are resumed. Connections to them end.</p>
          <Names of={running} />
        </Confirm>
      )}
    </section>
  );
}

const namesShown = 12;

function Names({ of: sandboxes }: { of: ListedSandbox[] }) {
  return (
    <ul className="mono">
      {sandboxes.slice(0, namesShown).map((sandbox) => (
        <li key={sandbox.sandboxID}>{sandbox.sandboxID}</li>
      ))}
      {sandboxes.length > namesShown && <li>and {sandboxes.length - namesShown} more</li>}
    </ul>
  );
}

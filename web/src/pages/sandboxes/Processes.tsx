import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Guest } from "../../api/connect";
import { run, signalProcess } from "../../api/process";
import { Button, Check } from "../../ui/controls";
import { Confirm } from "../../ui/dialog";
import { ErrorNote, Loading, useAct } from "../../ui/notes";
import { Table } from "../../ui/table";
import { WithGuest } from "./guest";

export function ProcessesPage() {
  return <WithGuest>{(guest) => <Processes guest={guest} />}</WithGuest>;
}

interface Row {
  pid: number;
  state: string;
  user: string;
  rss: number;
  seconds: number;
  command: string;
}

/** Nothing in the guest tells of processes that begin and end. */
const askEvery = 3000;

// Reads /proc, since images need not have ps: for each process its ID, state, user ID,
// memory in KiB, ticks of CPU time, and command.
const script = `
for d in /proc/[0-9]*; do
  read -r s 2>/dev/null < "$d/stat" || continue
  n=\${s#*(}; n=\${n%)*}
  set -- \${s##*) }
  u=; m=0; c=
  while read -r k v _; do case $k in Uid:) u=$v ;; VmRSS:) m=$v ;; esac; done 2>/dev/null < "$d/status"
  # Processes of the kernel have no memory and no command line.
  [ "$m" = 0 ] || c=$(tr '\\0\\n' '  ' < "$d/cmdline" 2>/dev/null)
  printf '%s\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "\${d#/proc/}" "$1" "$u" "$m" "$((\${12} + \${13}))" "\${c:-[$n]}"
done
while IFS=: read -r name _ uid _; do printf 'user\\t%s\\t%s\\n' "$uid" "$name"; done < /etc/passwd`;

const ticksPerSecond = 100;

async function list(guest: Guest): Promise<Row[]> {
  const rows: Row[] = [];
  const users = new Map<string, string>();
  for (const line of (await run(guest, "/bin/sh", ["-c", script])).split("\n")) {
    const [pid = "", state = "", user = "", rss = "0", ticks = "0", command = ""] = line.split("\t");
    if (pid === "user") users.set(state, user);
    else if (pid !== "" && !command.includes("for d in /proc/[0-9]*")) {
      rows.push({ pid: Number(pid), state, user, rss: Number(rss), seconds: Number(ticks) / ticksPerSecond, command });
    }
  }
  return rows.map((row) => ({ ...row, user: users.get(row.user) ?? row.user })).sort((a, b) => a.pid - b.pid);
}

function Processes({ guest }: { guest: Guest }) {
  const [kernel, setKernel] = useState(false);
  const [killing, setKilling] = useState<Row | null>(null);
  const queries = useQueryClient();
  const act = useAct();
  const processes = useQuery({
    queryKey: ["processes", guest.sandboxID],
    queryFn: () => list(guest),
    refetchInterval: askEvery,
  });
  const end = async (row: Row, signal: "TERM" | "KILL") => {
    try {
      await signalProcess(guest, row.pid, signal === "KILL" ? "SIGNAL_SIGKILL" : "SIGNAL_SIGTERM");
    } catch {
      // Not started through the guest agent: the shell of its user may signal it, too.
      await run(guest, "/bin/sh", ["-c", `kill -${signal} ${row.pid}`]);
    }
    await queries.invalidateQueries({ queryKey: ["processes"] });
  };
  if (processes.isPending) return <Loading />;
  if (processes.isError) return <ErrorNote error={processes.error} retry={() => void processes.refetch()} />;
  const shown = processes.data.filter((row) => kernel || !row.command.startsWith("["));
  return (
    <section className="panel">
      <header>
        <h2 className="grow">{shown.length} processes</h2>
        <Check checked={kernel} onChange={setKernel}>
          With those of the kernel
        </Check>
      </header>
      <Table
        label="Processes"
        items={shown}
        keyOf={(row) => String(row.pid)}
        columns={[
          { title: "PID", numeric: true, cell: (row) => row.pid },
          { title: "User", cell: (row) => row.user, wide: true },
          { title: "State", cell: (row) => row.state, wide: true },
          { title: "Memory", numeric: true, cell: (row) => `${(row.rss / 1024).toFixed(1)} MiB` },
          { title: "CPU time", numeric: true, wide: true, cell: (row) => `${row.seconds.toFixed(1)} s` },
          {
            title: "Command",
            cell: (row) => (
              <div className="mono ellipsis" title={row.command}>
                {row.command}
              </div>
            ),
          },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (row) => (
              <span className="row">
                <Button
                  small
                  kind="plain"
                  aria-label={`Terminate ${row.pid}`}
                  onClick={() => act(() => end(row, "TERM"), `Asked process ${row.pid} to end.`)}
                >
                  Terminate
                </Button>
                <Button small kind="plain" aria-label={`Kill ${row.pid}`} onClick={() => setKilling(row)}>
                  Kill
                </Button>
              </span>
            ),
          },
        ]}
      />
      {killing !== null && (
        <Confirm
          title={`Kill process ${killing.pid}?`}
          action={`Kill ${killing.pid}`}
          onClose={() => setKilling(null)}
          onConfirm={() => end(killing, "KILL")}
        >
          <p className="mono">{killing.command}</p>
        </Confirm>
      )}
    </section>
  );
}

import { call, fromBase64, type Guest, stream, toBase64 } from "./connect";

export interface Process {
  pid: number;
  tag?: string;
  config: { cmd: string; args?: string[]; cwd?: string };
}

interface Output {
  stdout?: string;
  stderr?: string;
  pty?: string;
}

interface ProcessEvent {
  event?: {
    start?: { pid: number };
    data?: Output;
    end?: { exitCode?: number; status?: string; error?: string };
  };
}

export type Size = { cols: number; rows: number };

export async function listProcesses(guest: Guest): Promise<Process[]> {
  const { processes } = await call<{ processes?: Process[] }>(guest, "process.Process/List", {});
  return processes ?? [];
}

export function sendInput(guest: Guest, pid: number, bytes: Uint8Array): Promise<unknown> {
  return call(guest, "process.Process/SendInput", { process: { pid }, input: { pty: toBase64(bytes) } });
}

export function resize(guest: Guest, pid: number, size: Size): Promise<unknown> {
  return call(guest, "process.Process/Update", { process: { pid }, pty: { size } });
}

export type Signal = "SIGNAL_SIGTERM" | "SIGNAL_SIGKILL";

export function signalProcess(guest: Guest, pid: number, signal: Signal): Promise<unknown> {
  return call(guest, "process.Process/SendSignal", { process: { pid }, signal });
}

/** What a process says until it ends, with its ID and its exit code. */
export interface Watcher {
  onStart: (pid: number) => void;
  onData: (bytes: Uint8Array) => void;
  onEnd: (status: string) => void;
}

async function watch(events: AsyncGenerator<ProcessEvent>, { onStart, onData, onEnd }: Watcher): Promise<void> {
  for await (const { event } of events) {
    if (event?.start !== undefined) onStart(event.start.pid);
    const bytes = event?.data?.pty ?? event?.data?.stdout ?? event?.data?.stderr;
    if (bytes !== undefined) onData(fromBase64(bytes));
    if (event?.end !== undefined)
      onEnd(event.end.error ?? event.end.status ?? `exit status ${event.end.exitCode ?? 0}`);
  }
}

// Images have bash or not.
const shell = "if command -v bash >/dev/null; then exec bash -il; else exec sh -i; fi";

/** Starts a shell in a terminal, and follows it to its end. */
export function startShell(
  guest: Guest,
  tag: string,
  size: Size,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<void> {
  const message = {
    process: {
      cmd: "/bin/sh",
      args: ["-c", shell],
      envs: { TERM: "xterm-256color", LANG: "C.UTF-8", LC_ALL: "C.UTF-8" },
    },
    pty: { size },
    tag,
  };
  return watch(stream(guest, "process.Process/Start", message, signal), watcher);
}

/** Follows a process that runs. */
export function attach(guest: Guest, pid: number, watcher: Watcher, signal: AbortSignal): Promise<void> {
  return watch(stream(guest, "process.Process/Connect", { process: { pid } }, signal), watcher);
}

/** Runs a command to its end and returns its output. */
export async function run(guest: Guest, cmd: string, args: string[]): Promise<string> {
  const control = new AbortController();
  const decoder = new TextDecoder();
  let output = "";
  const events = stream<ProcessEvent>(
    guest,
    "process.Process/Start",
    { process: { cmd, args }, stdin: false },
    control.signal,
  );
  for await (const { event } of events) {
    const bytes = event?.data?.stdout ?? event?.data?.stderr;
    if (bytes !== undefined) output += decoder.decode(fromBase64(bytes), { stream: true });
    if (event?.end !== undefined && (event.end.exitCode ?? 0) !== 0) {
      throw new Error(`${cmd}: ${event.end.error ?? event.end.status ?? ""} ${output}`.trim());
    }
  }
  return output;
}

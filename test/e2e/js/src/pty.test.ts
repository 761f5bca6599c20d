// Terminals.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandExitError, type CommandHandle, NotFoundError } from "e2b";
import { eventually, sharedSandbox } from "./support.js";

const shared = sharedSandbox();

interface Terminal {
  handle: CommandHandle;
  /** type sends keys, as a person would. */
  type(text: string): Promise<void>;
  /** shows waits until the terminal has printed what is looked for. */
  shows(text: string): Promise<void>;
}

async function openTerminal(cols: number, rows: number): Promise<Terminal> {
  const decoder = new TextDecoder();
  let screen = "";
  const handle = await shared().pty.create({
    cols,
    rows,
    onData: (data) => void (screen += decoder.decode(data, { stream: true })),
  });
  return {
    handle,
    type: (text) => shared().pty.sendInput(handle.pid, new TextEncoder().encode(text)),
    async shows(text) {
      try {
        await eventually(`the terminal to show ${text}`, () => (screen.includes(text) ? true : undefined));
      } catch (error) {
        throw new Error(`the terminal shows ${JSON.stringify(screen)}`, { cause: error });
      }
    },
  };
}

test("a terminal has its size, and a new one when it is resized", async () => {
  const terminal = await openTerminal(80, 24);
  await terminal.type('echo size: $(stty size)\n');
  await terminal.shows("size: 24 80");
  await shared().pty.resize(terminal.handle.pid, { cols: 132, rows: 43 });
  await terminal.type('echo size: $(stty size)\n');
  await terminal.shows("size: 43 132");
  assert.equal(await terminal.handle.kill(), true);
});

test("programs see a terminal and the environment of one", async () => {
  const terminal = await openTerminal(80, 24);
  await terminal.type(`python3 -c 'import os, sys; print("tty:", sys.stdin.isatty(), os.environ["TERM"])'\n`);
  await terminal.shows("tty: True xterm-256color");
  assert.equal(await terminal.handle.kill(), true);
});

test("control-C interrupts the program, not the shell", async () => {
  const terminal = await openTerminal(80, 24);
  await terminal.type("echo star''ted; sleep 600\n");
  await terminal.shows("started");
  await terminal.type("\x03");
  await terminal.type("echo code $((130 + 0)) still here $?\n");
  await terminal.shows("still here");
  assert.equal(await terminal.handle.kill(), true);
});

test("the shell's exit code is the terminal's", async () => {
  const terminal = await openTerminal(80, 24);
  await terminal.type("exit 7\n");
  await assert.rejects(terminal.handle.wait(), (error: unknown) => {
    assert.ok(error instanceof CommandExitError, String(error));
    assert.equal(error.exitCode, 7);
    return true;
  });
});

test("a terminal left behind is connected to again", async () => {
  const first = await openTerminal(80, 24);
  await first.type("kept=yes\n");
  await first.handle.disconnect();

  let screen = "";
  const again = await shared().pty.connect(first.handle.pid, {
    onData: (data) => void (screen += new TextDecoder().decode(data)),
  });
  await first.type('echo "kept: $kept"\n');
  await eventually("the kept variable", () => (screen.includes("kept: yes") ? true : undefined));
  assert.equal(await again.kill(), true);
});

test("a terminal of size nothing is an ordinary one", async () => {
  const terminal = await openTerminal(0, 0);
  await terminal.type('echo size: $(stty size)\n');
  await terminal.shows("size: 24 80");
  assert.equal(await terminal.handle.kill(), true);
});

test("a terminal ends with its shell, though a job holds it", async () => {
  const terminal = await openTerminal(80, 24);
  await terminal.type("(trap '' HUP; exec sleep 31237) & exit 0\n");
  assert.equal((await terminal.handle.wait()).exitCode, 0);
  const { stdout } = await shared().commands.run("until pgrep -cf 'sleep 3123[7]' >/tmp/jobs; do sleep 0.1; done; cat /tmp/jobs; pkill -f 'sleep 3123[7]'");
  assert.equal(stdout, "1\n");
});

test("killing a terminal ends every job in it", async () => {
  const terminal = await openTerminal(80, 24);
  await terminal.type("(trap '' HUP; exec sleep 31238) & sleep 31239 & echo start''ed\n");
  await terminal.shows("started");
  assert.equal(await terminal.handle.kill(), true);
  await assert.rejects(terminal.handle.wait(), CommandExitError);
  const { stdout } = await shared().commands.run("pgrep -cf 'sleep 3123[89]' || true");
  assert.equal(stdout, "0\n");
});

test("a killed terminal is gone", async () => {
  const terminal = await openTerminal(80, 24);
  assert.equal(await shared().pty.kill(terminal.handle.pid), true);
  await assert.rejects(terminal.handle.wait(), CommandExitError);
  assert.equal(await shared().pty.kill(terminal.handle.pid), false);
  await assert.rejects(shared().pty.sendInput(terminal.handle.pid, new Uint8Array([10])), NotFoundError);
});

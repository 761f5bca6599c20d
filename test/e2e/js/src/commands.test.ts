// Commands in the foreground and background, their input, output and end.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { CommandExitError, InvalidArgumentError, NotFoundError, Sandbox, TimeoutError } from "e2b";
import { eventually, sharedSandbox } from "./support.js";

const shared = sharedSandbox({ envs: { FROM_SANDBOX: "sandbox", OVERRIDDEN: "sandbox" } });

async function isAlive(sandbox: Sandbox, pid: number): Promise<boolean> {
  const { stdout } = await sandbox.commands.run(`test -d /proc/${pid} && echo alive || echo gone`);
  return stdout.trim() === "alive";
}

test("runs a Python program and returns what it printed", async () => {
  const result = await shared().commands.run(`python3 -c 'import sys; print(6 * 7); print("oops", file=sys.stderr)'`);
  assert.deepEqual(
    { stdout: result.stdout, stderr: result.stderr, exitCode: result.exitCode },
    { stdout: "42\n", stderr: "oops\n", exitCode: 0 },
  );
});

test("a failing command throws CommandExitError with its code and stderr", async () => {
  await assert.rejects(shared().commands.run("echo before; echo because >&2; exit 3"), (error: unknown) => {
    assert.ok(error instanceof CommandExitError, String(error));
    assert.equal(error.exitCode, 3);
    assert.equal(error.stdout, "before\n");
    assert.equal(error.stderr, "because\n");
    return true;
  });
});

test("a command that does not exist exits with 127", async () => {
  await assert.rejects(shared().commands.run("no-such-command"), (error: unknown) => {
    assert.ok(error instanceof CommandExitError, String(error));
    assert.equal(error.exitCode, 127);
    return true;
  });
});

test("commands run as user in its home unless told otherwise", async () => {
  const byDefault = await shared().commands.run("id -un; pwd; echo $HOME");
  assert.equal(byDefault.stdout, "user\n/home/user\n/home/user\n");
  const asRoot = await shared().commands.run("id -un; pwd; echo $HOME", { user: "root" });
  assert.equal(asRoot.stdout, "root\n/root\n/root\n");
});

test("user becomes root by sudo without a password", async () => {
  const { stdout } = await shared().commands.run("sudo -n id -u");
  assert.equal(stdout, "0\n");
});

test("the kernel may choose a command before the guest agent when memory runs out", async () => {
  const { stdout } = await shared().commands.run("cat /proc/self/oom_score_adj");
  assert.ok(Number(stdout) >= 0, `oom_score_adj is ${stdout}`);
});

test("a command runs in the directory it is given", async () => {
  const { stdout } = await shared().commands.run("pwd", { cwd: "/usr/lib" });
  assert.equal(stdout, "/usr/lib\n");
});

test("a directory that does not exist is an invalid argument", async () => {
  await assert.rejects(shared().commands.run("pwd", { cwd: "/no/such/place" }), InvalidArgumentError);
});

test("environments of sandbox and command are both seen, the command's wins", async () => {
  const { stdout } = await shared().commands.run('echo "$FROM_SANDBOX $OVERRIDDEN $FROM_COMMAND"', {
    envs: { OVERRIDDEN: "command", FROM_COMMAND: "command" },
  });
  assert.equal(stdout, "sandbox command command\n");
});

test("a background command is waited for", async () => {
  const command = await shared().commands.run("sleep 0.3; echo done", { background: true });
  assert.ok(command.pid > 0);
  assert.equal(command.exitCode, undefined);
  const result = await command.wait();
  assert.equal(result.stdout, "done\n");
  assert.equal(command.exitCode, 0);
});

test("a background command is listed, and killed", async () => {
  const command = await shared().commands.run("exec sleep 600", { background: true, envs: { LISTED: "yes" } });
  const listed = (await shared().commands.list()).find((process) => process.pid === command.pid);
  assert.ok(listed, "the command is not in the list");
  assert.equal(listed.cmd, "/bin/bash");
  assert.deepEqual(listed.args, ["-l", "-c", "exec sleep 600"]);
  assert.equal(listed.envs["LISTED"], "yes");

  assert.equal(await command.kill(), true);
  await assert.rejects(command.wait(), CommandExitError);
  assert.equal(await isAlive(shared(), command.pid), false);
  assert.equal(await command.kill(), false);
  const pids = (await shared().commands.list()).map((process) => process.pid);
  assert.ok(!pids.includes(command.pid), "the command is still in the list");
});

test("a command left behind is connected to again by its pid", async () => {
  const first = await shared().commands.run("read line; echo heard $line", { background: true, stdin: true });
  await first.disconnect();

  const again = await shared().commands.connect(first.pid);
  assert.equal(again.pid, first.pid);
  await again.sendStdin("me\n");
  assert.equal((await again.wait()).stdout, "heard me\n");
});

test("a pid that does not exist is not found", async () => {
  assert.equal(await shared().commands.kill(4_000_000), false);
  await assert.rejects(shared().commands.connect(4_000_000), NotFoundError);
});

test("standard input is sent and closed", async () => {
  const command = await shared().commands.run("cat; echo end", { background: true, stdin: true });
  await command.sendStdin("one\n");
  await command.sendStdin(new TextEncoder().encode("zwei ü\n"));
  await command.closeStdin();
  assert.equal((await command.wait()).stdout, "one\nzwei ü\nend\n");
});

test("a command without standard input reads its end at once", async () => {
  const { stdout } = await shared().commands.run("cat; echo end");
  assert.equal(stdout, "end\n");
});

test("a command is killed when its time is over", async () => {
  const command = await shared().commands.run("exec sleep 600", { background: true, timeoutMs: 1_000 });
  await assert.rejects(command.wait(), TimeoutError);
  await eventually("the command to be gone", async () =>
    (await isAlive(shared(), command.pid)) ? undefined : true,
  );
});

test("several megabytes of output arrive byte for byte", async () => {
  const result = await shared().commands.run("head -c 3000000 /dev/urandom | base64 -w 0 | tee /tmp/big; sha256sum /tmp/big >&2");
  assert.equal(result.stdout.length, 4_000_000);
  assert.equal(createHash("sha256").update(result.stdout).digest("hex"), result.stderr.split(" ")[0]);
});

test("characters split between writes arrive whole", async () => {
  const { stdout } = await shared().commands.run(`printf '\\303'; sleep 0.2; printf '\\274\\n'`);
  assert.equal(stdout, "ü\n");
});

test("output is streamed while the command runs", async () => {
  const seen: { text: string; at: number }[] = [];
  await shared().commands.run("for i in 1 2 3; do echo out $i; sleep 0.3; done; echo err >&2", {
    onStdout: (text) => void seen.push({ text, at: Date.now() }),
    onStderr: (text) => void seen.push({ text, at: Date.now() }),
  });
  assert.deepEqual(seen.map(({ text }) => text), ["out 1\n", "out 2\n", "out 3\n", "err\n"]);
  const spreadMs = (seen.at(-1)?.at ?? 0) - (seen[0]?.at ?? 0);
  assert.ok(spreadMs > 600, `all output came within ${spreadMs} ms`);
});

test("ten commands run at the same time", async () => {
  const numbers = Array.from({ length: 10 }, (_, i) => i);
  const results = await Promise.all(numbers.map((i) => shared().commands.run(`sleep 0.5; echo ${i}`)));
  assert.deepEqual(results.map(({ stdout }) => stdout), numbers.map((i) => `${i}\n`));
});

test("the clock is right although the template is old", async () => {
  const before = Date.now() / 1000;
  const { stdout } = await shared().commands.run("date +%s.%N");
  const inSandbox = Number(stdout);
  assert.ok(inSandbox > before - 2 && inSandbox < Date.now() / 1000 + 2, `${inSandbox} is not about ${before}`);
});

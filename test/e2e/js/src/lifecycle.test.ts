// A sandbox's life: what is told of it, its timeout, pause, resume and end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AuthenticationError, CommandExitError, Sandbox, SandboxError, SandboxNotFoundError, TimeoutError } from "e2b";
import { eventually, withSandbox } from "./support.js";

/** A counter writes one number a line, each a step after the last, for ever. */
const counter = `
import os, time
number = 0
with open("/tmp/count", "w", buffering=1) as out:
    while True:
        number += 1
        print(os.getpid(), number, file=out)
        time.sleep(0.05)
`;

interface Count {
  pids: Set<number>;
  numbers: number[];
}

async function readCount(sandbox: Sandbox): Promise<Count> {
  const lines = (await sandbox.files.read("/tmp/count")).split("\n").slice(0, -1);
  const rows = lines.map((line) => line.split(" ").map(Number));
  return { pids: new Set(rows.map((row) => row[0] ?? -1)), numbers: rows.map((row) => row[1] ?? -1) };
}

function assertWithoutGap(numbers: number[]): void {
  assert.deepEqual(numbers, Array.from(numbers, (_, index) => index + 1));
}

async function isGone(sandbox: Sandbox): Promise<void> {
  assert.equal(await sandbox.isRunning(), false);
  await assert.rejects(sandbox.getInfo(), SandboxNotFoundError);
  await assert.rejects(sandbox.commands.run("true"), SandboxNotFoundError);
  await assert.rejects(sandbox.files.read("/etc/hostname"), TimeoutError);
  await assert.rejects(Sandbox.connect(sandbox.sandboxId), SandboxNotFoundError);
  await assert.rejects(sandbox.setTimeout(60_000), SandboxNotFoundError);
  await assert.rejects(sandbox.pause(), SandboxNotFoundError);
  assert.equal(await sandbox.kill(), false);
}

test("a sandbox runs, tells of itself, and is gone once killed", async () => {
  await withSandbox({ metadata: { purpose: "lifecycle", mark: "ü & =" }, timeoutMs: 90_000 }, async (sandbox) => {
    assert.equal(await sandbox.isRunning(), true);
    const info = await sandbox.getInfo();
    assert.equal(info.sandboxId, sandbox.sandboxId);
    assert.equal(info.name, "base");
    assert.equal(info.state, "running");
    assert.deepEqual(info.metadata, { purpose: "lifecycle", mark: "ü & =" });
    assert.ok(info.cpuCount >= 1 && info.memoryMB >= 128, `${info.cpuCount} CPUs, ${info.memoryMB} MiB`);
    const lifetimeMs = info.endAt.getTime() - info.startedAt.getTime();
    assert.ok(Math.abs(lifetimeMs - 90_000) < 5_000, `it lives ${lifetimeMs} ms`);

    assert.equal(await sandbox.kill(), true);
    await isGone(sandbox);
  });
});

test("two sandboxes know nothing of each other", async () => {
  await withSandbox({}, async (one) => {
    await withSandbox({}, async (other) => {
      await one.files.write("/tmp/mine", "one");
      assert.equal(await other.files.exists("/tmp/mine"), false);
      const random = "head -c 16 /dev/urandom | base64; cat /proc/sys/kernel/random/uuid";
      assert.notEqual((await one.commands.run(random)).stdout, (await other.commands.run(random)).stdout);
    });
  });
});

test("a sandbox expires at its timeout, however it was set", async () => {
  await withSandbox({ timeoutMs: 60_000 }, async (sandbox) => {
    await sandbox.setTimeout(120_000);
    const { endAt } = await sandbox.getInfo();
    const leftMs = endAt.getTime() - Date.now();
    assert.ok(leftMs > 100_000 && leftMs < 125_000, `${leftMs} ms are left`);

    await sandbox.setTimeout(1_000);
    await eventually("the sandbox to expire", async () => ((await sandbox.isRunning()) ? undefined : true));
    await eventually("the sandbox to be forgotten", async () =>
      (await Sandbox.list({ query: { metadata: {} } }).nextItems()).some((s) => s.sandboxId === sandbox.sandboxId)
        ? undefined
        : true,
    );
    await isGone(sandbox);
  });
});

test("a counting process counts on through pause and resume", async () => {
  await withSandbox({}, async (sandbox) => {
    await sandbox.files.write("/tmp/counter.py", counter);
    const process = await sandbox.commands.run("exec python3 /tmp/counter.py", { background: true, timeoutMs: 0 });
    await process.disconnect();
    await eventually("ten counts", async () => {
      if (!(await sandbox.files.exists("/tmp/count"))) return undefined;
      return (await readCount(sandbox)).numbers.length >= 10 ? true : undefined;
    });
    const atPause = (await readCount(sandbox)).numbers.length;

    assert.equal(await sandbox.pause(), true);
    assert.equal((await sandbox.getInfo()).state, "paused");
    assert.equal(await sandbox.pause(), false);
    assert.equal(await sandbox.isRunning(), false);

    const resumed = await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 60_000 });
    assert.equal(resumed.sandboxId, sandbox.sandboxId);
    assert.equal((await resumed.getInfo()).state, "running");
    const count = await eventually("the count to go on", async () => {
      const now = await readCount(resumed);
      return now.numbers.length >= atPause + 20 ? now : undefined;
    });
    assert.deepEqual([...count.pids], [process.pid]);
    assertWithoutGap(count.numbers);

    const asked = Date.now();
    const guestMs = Number((await resumed.commands.run("date +%s.%N")).stdout) * 1000;
    const late = guestMs < asked - 2_000 || guestMs > Date.now() + 2_000;
    assert.ok(!late, `the clock stood still while the sandbox was paused: ${guestMs} when it was ${asked}`);
    assert.equal(await resumed.commands.kill(process.pid), true);
    // What was held before the pause still works: it is the same sandbox.
    assert.equal((await sandbox.commands.run("echo same")).stdout, "same\n");
  });
});

test("no line of a command is lost by who connects to it again after a pause", async () => {
  await withSandbox({}, async (sandbox) => {
    const last = 2000;
    let output = "";
    const onStdout = (text: string): void => void (output += text);
    const script = `exec 3<> <(:); for i in $(seq ${last}); do echo $i; read -t 0.005 -u 3; done; exit 3`;
    const command = await sandbox.commands.run(script, { background: true, onStdout, timeoutMs: 0 });
    const cutOff = assert.rejects(command.wait());
    await eventually("the first lines", () => (output.includes("20\n") ? true : undefined));
    await sandbox.pause();
    await cutOff;

    const resumed = await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 60_000 });
    const again = await resumed.commands.connect(command.pid, { onStdout, timeoutMs: 0 });
    await assert.rejects(again.wait(), (error: unknown) => error instanceof CommandExitError && error.exitCode === 3);
    assert.deepEqual(output.trim().split("\n").map(Number), Array.from({ length: last }, (_, i) => i + 1));
  });
});

test("programs know in which sandbox they run", async () => {
  await withSandbox({ envs: { E2B_SANDBOX: "mine" } }, async (sandbox) => {
    const { stdout } = await sandbox.commands.run("echo $E2B_SANDBOX $E2B_SANDBOX_ID $E2B_TEMPLATE_ID");
    const { templateId } = await sandbox.getInfo();
    assert.equal(stdout, `mine ${sandbox.sandboxId} ${templateId}\n`);
  });
});

test("a sandbox is paused and resumed again and again", async () => {
  await withSandbox({}, async (sandbox) => {
    for (const round of [1, 2, 3]) {
      await sandbox.commands.run(`echo ${round} >> /tmp/rounds`);
      assert.equal(await sandbox.pause(), true);
      await sandbox.connect({ timeoutMs: 60_000 });
    }
    assert.equal((await sandbox.commands.run("cat /tmp/rounds")).stdout, "1\n2\n3\n");
  });
});

test("a sandbox paused without memory boots with its files", async () => {
  await withSandbox({}, async (sandbox) => {
    await sandbox.files.write("/home/user/kept", "on disk");
    await sandbox.commands.run("sleep 1000", { background: true, timeoutMs: 0 });
    assert.equal(await sandbox.pause({ keepMemory: false }), true);
    const resumed = await Sandbox.connect(sandbox.sandboxId, { requestTimeoutMs: 120_000 });
    assert.equal(await resumed.files.read("/home/user/kept"), "on disk");
    const { stdout } = await resumed.commands.run("pgrep -x sleep || echo none; echo $E2B_SANDBOX_ID");
    assert.equal(stdout, `none\n${sandbox.sandboxId}\n`);
  });
});

test("a paused sandbox is killed", async () => {
  await withSandbox({}, async (sandbox) => {
    assert.equal(await sandbox.pause(), true);
    assert.equal(await sandbox.kill(), true);
    await isGone(sandbox);
  });
});

test("a sandbox that pauses at its timeout is there to be resumed", async () => {
  await withSandbox({ lifecycle: { onTimeout: "pause" } }, async (sandbox) => {
    await sandbox.files.write("/tmp/kept", "kept");
    await sandbox.setTimeout(1_000);
    await eventually("the sandbox to pause", async () =>
      (await sandbox.getInfo()).state === "paused" ? true : undefined,
    );
    await sandbox.connect({ timeoutMs: 60_000 });
    assert.equal(await sandbox.files.read("/tmp/kept"), "kept");
  });
});

test("connecting to a running sandbox only lengthens its time", async () => {
  await withSandbox({ timeoutMs: 100_000 }, async (sandbox) => {
    const { endAt } = await sandbox.getInfo();
    await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 10_000 });
    assert.equal((await sandbox.getInfo()).endAt.getTime(), endAt.getTime());
    await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 200_000 });
    assert.ok((await sandbox.getInfo()).endAt.getTime() > endAt.getTime() + 50_000);
  });
});

test("what cannot be created is refused as the SDK knows it", async () => {
  await assert.rejects(Sandbox.create("no-such-template"), SandboxError);
  await assert.rejects(Sandbox.create({ apiKey: `e2b_${"0".repeat(40)}` }), AuthenticationError);
});

// Sandboxes of other sizes than their template's: the SDK's create has no field for it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Sandbox } from "e2b";
import { apiUrl, eventually, requiredEnvironment } from "./support.js";

const made: Sandbox[] = [];

after(async () => {
  for (const sandbox of made) await sandbox.kill();
});

const headers = { "X-API-Key": requiredEnvironment("E2B_API_KEY"), "Content-Type": "application/json" };

interface Answer {
  status: number;
  /** How often it was asked. */
  attempts: number;
  body: { sandboxID?: string; message?: string; error_code?: string };
}

/** create creates a sandbox of a size, and asks again while the size is being made. */
async function create(size: Record<string, number>): Promise<Answer> {
  const body = JSON.stringify({ templateID: "base", timeout: 300, ...size });
  const deadline = Date.now() + 240_000;
  for (let attempts = 1; ; attempts++) {
    const response = await fetch(new URL("/sandboxes", apiUrl), { method: "POST", headers, body });
    const answer = { status: response.status, attempts, body: (await response.json()) as Answer["body"] };
    if (answer.body.error_code !== "sandbox_placement_timeout" || Date.now() > deadline) return answer;
  }
}

/** connected is a sandbox of a size, in the SDK. */
async function connected(size: Record<string, number>): Promise<{ sandbox: Sandbox; attempts: number }> {
  const { status, attempts, body } = await create(size);
  assert.equal(status, 201, body.message);
  const sandbox = await Sandbox.connect(body.sandboxID!);
  made.push(sandbox);
  return { sandbox, attempts };
}

/** found is the size that a guest finds itself with: vCPUs, MiB of memory and of disk. */
async function found(sandbox: Sandbox): Promise<number[]> {
  const result = await sandbox.commands.run("nproc; free -m | awk '/Mem:/ {print $2}'; df -m --output=size / | tail -1");
  return result.stdout.trim().split(/\s+/).map(Number);
}

function near(actual: number, expected: number): void {
  assert.ok(actual > expected * 0.8 && actual <= expected, `${actual} is not a little less than ${expected}`);
}

test("a sandbox has the size that its create asks for", async () => {
  const { sandbox: first, attempts } = await connected({ cpuCount: 2, memoryMB: 768, diskSizeMB: 6144 });
  const [cpus, memory, disk] = await found(first);
  assert.equal(cpus, 2);
  near(memory!, 768);
  near(disk!, 6144);
  const info = await first.getInfo();
  assert.deepEqual([info.cpuCount, info.memoryMB], [2, 768]);
  assert.equal((await first.commands.run("python3 -c 'print(6 * 7)'")).stdout, "42\n");

  // A size that took longer than one attempt is in the log of the first one's sandbox.
  const log = await fetch(new URL(`/v2/sandboxes/${first.sandboxId}/logs`, apiUrl), { headers });
  const text = await log.text();
  if (attempts === 1) assert.match(text, /boots once with 2 vCPUs, 768 MiB of memory and 6144 MiB of disk/);

  await first.pause();
  const resumed = await Sandbox.connect(first.sandboxId);
  assert.deepEqual(await found(resumed), [cpus, memory, disk]);

  const { sandbox: second } = await connected({ cpuCount: 2, memoryMB: 768, diskSizeMB: 6144 });
  assert.deepEqual(await found(second), [cpus, memory, disk]);
  const listed = await eventually("the sandbox in the list", async () => {
    const page = await Sandbox.list().nextItems();
    return page.find((one) => one.sandboxId === second.sandboxId);
  });
  assert.deepEqual([listed!.cpuCount, listed!.memoryMB], [2, 768]);
});

test("a size that is not possible is refused with what to do", async () => {
  for (const [size, want] of [
    [{ diskSizeMB: 100 }, /diskSizeMB 100 is less than the template's disk/],
    [{ memoryMB: 64 }, /memoryMB must be from 128/],
    [{ cpuCount: 0 }, /cpuCount must be from 1 to 64/],
    [{ cpuCount: 64 }, /cpuCount/],
  ] as const) {
    const { status, body } = await create(size);
    assert.equal(status, 400, body.message);
    assert.match(body.message!, want);
  }
});

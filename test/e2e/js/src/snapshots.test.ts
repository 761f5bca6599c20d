// Snapshots of running sandboxes, sandboxes created from them, and forks.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { NotFoundError, Sandbox, SandboxError, type SnapshotInfo } from "e2b";
import { eventually, fetchHost, withSandbox } from "./support.js";

/** A counter in memory only, which answers with its number and its sandbox. */
const counter = `
import http.server, os, threading, time
number = 0

def count():
    global number
    while True:
        number += 1
        time.sleep(0.05)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(number).encode())

    def log_message(self, *arguments):
        pass

threading.Thread(target=count, daemon=True).start()
http.server.HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
`;

async function countIn(sandbox: Sandbox): Promise<number> {
  const { stdout } = await sandbox.commands.run("curl -s http://127.0.0.1:8080/ || echo 0");
  return Number(stdout);
}

async function startCounting(sandbox: Sandbox): Promise<void> {
  await sandbox.files.write("/tmp/counter.py", counter);
  await sandbox.commands.run("python3 /tmp/counter.py", { background: true, timeoutMs: 0 });
  await eventually("the counter", async () => ((await countIn(sandbox)) > 0 ? true : undefined), 60_000);
}

async function listAll(options: Parameters<typeof Sandbox.listSnapshots>[0]): Promise<SnapshotInfo[]> {
  const paginator = Sandbox.listSnapshots(options);
  const found: SnapshotInfo[] = [];
  while (paginator.hasNext) found.push(...(await paginator.nextItems()));
  return found;
}

test("a snapshot is created from, with memory and files, while its sandbox runs on", async () => {
  const name = `snapshot-${randomUUID()}`;
  await withSandbox({}, async (sandbox) => {
    await startCounting(sandbox);
    await sandbox.files.write("/tmp/kept", "before");
    const plain = await sandbox.createSnapshot();
    const named = await sandbox.createSnapshot({ name });
    await sandbox.files.write("/tmp/kept", "after");
    const countAtSnapshot = await countIn(sandbox);
    try {
      assert.deepEqual(plain.names, []);
      assert.equal(named.names.length, 1);
      assert.match(named.snapshotId, new RegExp(`^[^/]+/${name}:default$`));
      assert.deepEqual(await listAll({ sandboxId: sandbox.sandboxId, limit: 1 }), [named, plain]);
      assert.deepEqual(await listAll({ name }), [named]);

      for (const template of [plain.snapshotId, name]) {
        const copy = await Sandbox.create(template, { timeoutMs: 60_000 });
        try {
          assert.equal(await copy.files.read("/tmp/kept"), "before");
          const counted = await countIn(copy);
          assert.ok(counted > 0 && counted < countAtSnapshot + 1_000, `it counts on from where it was: ${counted}`);
          const { stdout } = await copy.commands.run("echo -n $E2B_SANDBOX_ID");
          assert.equal(stdout, copy.sandboxId);
        } finally {
          await copy.kill();
        }
      }
      assert.equal(await sandbox.files.read("/tmp/kept"), "after");
    } finally {
      assert.equal(await Sandbox.deleteSnapshot(plain.snapshotId), true);
      assert.equal(await Sandbox.deleteSnapshot(named.snapshotId), true);
    }
    assert.equal(await Sandbox.deleteSnapshot(named.snapshotId), false);
    assert.deepEqual(await listAll({ sandboxId: sandbox.sandboxId }), []);
    await assert.rejects(Sandbox.create(name), SandboxError);
  });
});

test("forks begin where their sandbox is and go their own ways", async () => {
  await withSandbox({ metadata: { family: "one" } }, async (sandbox) => {
    await startCounting(sandbox);
    await sandbox.files.write("/tmp/who", "parent");
    const made = await sandbox.fork({ count: 2, timeoutMs: 60_000 });
    const forks = made.filter((fork): fork is Sandbox => fork instanceof Sandbox);
    try {
      assert.equal(forks.length, 2, String(made.find((fork) => !(fork instanceof Sandbox))));
      for (const fork of forks) {
        assert.notEqual(fork.sandboxId, sandbox.sandboxId);
        assert.equal(await fork.files.read("/tmp/who"), "parent");
        assert.ok((await countIn(fork)) > 0);
        await fork.files.write("/tmp/who", fork.sandboxId);
        const { stdout } = await fork.commands.run("echo -n $E2B_SANDBOX_ID");
        assert.equal(stdout, fork.sandboxId);
        assert.deepEqual((await fork.getInfo()).metadata, { family: "one" });
      }
      assert.equal(await sandbox.files.read("/tmp/who"), "parent");
      const random = async (one: Sandbox) => (await one.commands.run("head -c 16 /dev/urandom | base64")).stdout;
      const drawn = await Promise.all([sandbox, ...forks].map(random));
      assert.equal(new Set(drawn).size, 3);
    } finally {
      await Promise.all(forks.map((fork) => fork.kill()));
    }
    await sandbox.kill();
    await assert.rejects(sandbox.fork(), NotFoundError);
  });
});

/** Draws random numbers all the time, each with when it was asked for before it. */
const drawing = `
import os, time
while True:
    print(time.time_ns(), os.urandom(16).hex(), flush=True)
    time.sleep(0.2)
`;

/** tokenOf is what opens the agent in a sandbox; the SDK keeps it to itself. */
function tokenOf(sandbox: Sandbox): string {
  const token = sandbox["envdAccessToken"];
  assert.ok(token);
  return token;
}

test("ten forks made at once share no identity, no token and no random number", async () => {
  await withSandbox({}, async (sandbox) => {
    await sandbox.files.write("/tmp/drawing.py", drawing);
    await sandbox.commands.run("python3 /tmp/drawing.py > /tmp/drawn", { background: true, timeoutMs: 0 });
    await eventually("the first number", async () => {
      const { stdout } = await sandbox.commands.run("cat /tmp/drawn || true");
      return stdout ? true : undefined;
    });
    const made = await sandbox.fork({ count: 10, timeoutMs: 120_000 });
    const forks = made.filter((fork): fork is Sandbox => fork instanceof Sandbox);
    try {
      assert.equal(forks.length, 10, String(made.find((fork) => !(fork instanceof Sandbox))));
      const family = [sandbox, ...forks];
      assert.equal(new Set(family.map((one) => one.sandboxId)).size, family.length);
      assert.equal(new Set(family.map(tokenOf)).size, family.length);
      let neighbour = sandbox;
      for (const fork of forks) {
        const open = (token: string) => fetchHost(fork, 49983, "/envs", { headers: { "X-Access-Token": token } });
        const answer = await open(tokenOf(fork));
        assert.equal(answer.status, 200);
        assert.equal((JSON.parse(String(answer.body)) as Record<string, string>)["E2B_SANDBOX_ID"], fork.sandboxId);
        assert.equal((await open(tokenOf(neighbour))).status, 401);
        neighbour = fork;
      }

      // What was drawn before the fork all have, with the same time before it. What
      // was drawn after it, by a loop that never stopped, only one may have.
      const askedAt = new Map<string, string>();
      for (const one of family) {
        const { stdout } = await one.commands.run("cat /tmp/drawn; echo $E2B_SANDBOX_ID $(cat /proc/sys/kernel/random/uuid)");
        for (const line of stdout.trim().split("\n")) {
          const [time, number] = line.split(" ");
          assert.ok(time && number, line);
          assert.equal(askedAt.get(number) ?? time, time, `${number} was drawn twice`);
          askedAt.set(number, time);
        }
      }
      assert.ok(askedAt.size > 3 * family.length, `each has drawn some of its own, ${askedAt.size} in all`);
    } finally {
      await Promise.all(forks.map((fork) => fork.kill()));
    }
  });
});

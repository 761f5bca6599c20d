// Finding sandboxes.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Sandbox, type SandboxInfo, type SandboxListOpts } from "e2b";
import { withSandbox } from "./support.js";

async function listAll(options: SandboxListOpts): Promise<SandboxInfo[]> {
  const paginator = Sandbox.list(options);
  const found: SandboxInfo[] = [];
  while (paginator.hasNext) found.push(...(await paginator.nextItems()));
  return found;
}

const idsOf = (sandboxes: SandboxInfo[]): string[] => sandboxes.map(({ sandboxId }) => sandboxId);

test("sandboxes are found by metadata, state and time, page by page", async () => {
  const group = `group & ${randomUUID()}`;
  await withSandbox({ metadata: { group, name: "first" } }, async (first) => {
    await withSandbox({ metadata: { group, name: "second" } }, async (second) => {
      const both = await listAll({ query: { metadata: { group } } });
      assert.deepEqual(idsOf(both), [second.sandboxId, first.sandboxId], "newest first");
      assert.deepEqual(both[1]?.metadata, { group, name: "first" });

      const oldestFirst = await listAll({ query: { metadata: { group } }, order: "asc" });
      assert.deepEqual(idsOf(oldestFirst), [first.sandboxId, second.sandboxId]);

      const one = await listAll({ query: { metadata: { group, name: "second" } } });
      assert.deepEqual(idsOf(one), [second.sandboxId]);
      assert.deepEqual(await listAll({ query: { metadata: { group, name: "third" } } }), []);

      const pages = Sandbox.list({ query: { metadata: { group } }, limit: 1 });
      assert.deepEqual(idsOf(await pages.nextItems()), [second.sandboxId]);
      assert.equal(pages.hasNext, true);
      assert.deepEqual(idsOf(await pages.nextItems()), [first.sandboxId]);
      assert.equal(pages.hasNext, false);

      await first.pause();
      const paused = await listAll({ query: { metadata: { group }, state: ["paused"] } });
      assert.deepEqual(idsOf(paused), [first.sandboxId]);
      assert.equal(paused[0]?.state, "paused");
      const running = await listAll({ query: { metadata: { group }, state: ["running"] } });
      assert.deepEqual(idsOf(running), [second.sandboxId]);
      assert.equal((await listAll({ query: { metadata: { group } } })).length, 2);
    });
  });
  assert.deepEqual(await listAll({ query: { metadata: { group } } }), []);
});

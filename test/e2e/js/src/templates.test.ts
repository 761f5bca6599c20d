// Templates by name and tag: snapshots are templates of their team.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Sandbox, Template, TemplateError } from "e2b";
import { withSandbox } from "./support.js";

test("a template exists by its name and ID, and nothing else does", async () => {
  assert.equal(await Template.exists("base"), true);
  assert.equal(await Template.aliasExists("base"), true);
  assert.equal(await Template.exists(`none-${randomUUID()}`), false);
});

test("tags name builds, which are created from, until they are removed", async () => {
  const name = `tagged-${randomUUID()}`;
  await withSandbox({}, async (sandbox) => {
    await sandbox.files.write("/tmp/version", "one");
    const { snapshotId } = await sandbox.createSnapshot({ name });
    try {
      const first = await Template.assignTags(name, ["v1", "stable"]);
      assert.deepEqual(first.tags, ["v1", "stable"]);
      await sandbox.files.write("/tmp/version", "two");
      await sandbox.createSnapshot({ name });
      const second = await Template.assignTags(name, "v2");
      assert.notEqual(first.buildId, second.buildId);
      const builds = new Map((await Template.getTags(name)).map(({ tag, buildId }) => [tag, buildId]));
      assert.equal(builds.get("stable"), first.buildId);
      assert.equal(builds.get("default"), second.buildId);

      for (const [template, version] of [[`${name}:stable`, "one"], [name, "two"], [first.buildId, "one"]] as const) {
        const copy = await Sandbox.create(template, { timeoutMs: 60_000 });
        try {
          assert.equal(await copy.files.read("/tmp/version"), version, template);
        } finally {
          await copy.kill();
        }
      }
      await Template.removeTags(name, ["v1", "stable"]);
      const left = (await Template.getTags(name)).map(({ tag }) => tag);
      assert.deepEqual(left.sort(), ["default", "v2"]);
      await assert.rejects(Sandbox.create(`${name}:stable`));
    } finally {
      assert.equal(await Sandbox.deleteSnapshot(snapshotId), true);
    }
    assert.equal(await Template.exists(name), false);
  });
});

test("what is not the team's own is not tagged", async () => {
  await assert.rejects(Template.assignTags("base", ["mine"]), TemplateError);
});

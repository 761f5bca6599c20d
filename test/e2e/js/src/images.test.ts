// Templates that are built from images of a private registry.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import { BuildError, Sandbox, Template, type TemplateClass } from "e2b";
import { apiUrl, requiredEnvironment } from "./support.js";

const registry = requiredEnvironment("WRENN_TEST_REGISTRY");
const credentials = {
  username: requiredEnvironment("WRENN_TEST_REGISTRY_USER"),
  password: requiredEnvironment("WRENN_TEST_REGISTRY_PASSWORD"),
};
const name = `image-${randomUUID()}`;

after(async () => {
  const headers = { "X-API-Key": requiredEnvironment("E2B_API_KEY") };
  await (await fetch(new URL(`/templates/${name}`, apiUrl), { method: "DELETE", headers })).arrayBuffer();
});

async function failureOf(template: TemplateClass): Promise<BuildError> {
  const failed = await Template.build(template, name, { cpuCount: 1, memoryMB: 512 }).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(failed instanceof BuildError, `${failed} is no BuildError`);
  return failed;
}

test("an image that is not there, and one that may not be read, are told apart", async () => {
  const missing = await failureOf(Template().fromImage(`${registry}/team/none:1`, credentials).runCmd("true"));
  assert.match(missing.message, /There is no image/);
  const refused = await failureOf(Template().fromImage(`${registry}/team/debian:1`, { username: "x", password: "y" }).runCmd("true"));
  assert.match(refused.message, /credentials|user|password/i);
  assert.notEqual(missing.message, refused.message);
  assert.match(refused.stack ?? "", /images\.test\.js/);
});

test("an image of a private registry becomes a template", async () => {
  await Template.build(Template().fromImage(`${registry}/team/debian:1`, credentials).runCmd("cat /etc/debian_version > /tmp/version"), name, {
    cpuCount: 1,
    memoryMB: 512,
  });
  const sandbox = await Sandbox.create(name, { timeoutMs: 120_000 });
  try {
    const { stdout } = await sandbox.commands.run("cat /tmp/version && cat /etc/debian_version");
    const [first, second] = stdout.trim().split("\n");
    assert.ok(first);
    assert.equal(first, second);
  } finally {
    await sandbox.kill();
  }
});

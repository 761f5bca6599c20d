// Secrets and identity tokens: what sandboxes refer to without seeing it.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { SandboxError, Secret, SecretError, SecretNotFoundError, type SandboxNetworkRule, type SecretInfo } from "e2b";
import { withSandbox } from "./support.js";

/** withSecret gives one case a secret of its own, destroyed in any event. */
async function withSecret(value: string, use: (secret: SecretInfo) => Promise<void>): Promise<void> {
  const secret = await Secret.create(`secret-${randomUUID()}`, value, { metadata: { owner: "tests" } });
  try {
    await use(secret);
  } finally {
    await Secret.destroy(secret.secretId);
  }
}

test("secrets are created, read, updated and destroyed, and never tell their value", async () => {
  const value = `value-${randomUUID()}`;
  const made = await Secret.create(`Secret-${randomUUID()}`, value);
  assert.equal(made.version, 1);
  assert.equal(made.name, made.name.toLowerCase());
  assert.deepEqual(made.metadata, {});
  await assert.rejects(Secret.create(made.name, "again"), SecretError);

  const changed = await Secret.update(made.name, `${value}-2`, { metadata: { owner: "me" } });
  assert.deepEqual([changed.secretId, changed.version, changed.metadata], [made.secretId, 2, { owner: "me" }]);
  const read = await Secret.getInfo(made.secretId);
  assert.deepEqual(read, changed);
  assert.ok(!JSON.stringify(read).includes(value));

  assert.equal(await Secret.exists(made.name), true);
  assert.equal(await Secret.destroy(made.name), true);
  assert.equal(await Secret.destroy(made.name), false);
  assert.equal(await Secret.exists(made.secretId), false);
  await assert.rejects(Secret.getInfo(made.secretId), SecretNotFoundError);
  await assert.rejects(Secret.update(made.secretId, "x"), SecretNotFoundError);
  await assert.rejects(Secret.create("not a name", "x"), SecretError);
});

test("secrets are listed page by page", async () => {
  await withSecret("one", async (first) => {
    await withSecret("two", async (second) => {
      const seen: string[] = [];
      const paginator = Secret.list({ limit: 1 });
      while (paginator.hasNext) {
        const page = await paginator.nextItems();
        assert.ok(page.length <= 1);
        seen.push(...page.map(({ secretId }) => secretId));
      }
      assert.ok(seen.indexOf(second.secretId) >= 0);
      assert.ok(seen.indexOf(second.secretId) < seen.indexOf(first.secretId), "newest first");
    });
  });
});

test("a sandbox's rules refer to a secret that the sandbox does not see", async () => {
  const value = `value-${randomUUID()}`;
  await withSecret(value, async (secret) => {
    const rulesWith = (name: string) => ({
      "api.example.com": [{ transform: { headers: { Authorization: `Bearer ${Secret.fill(name)}` } } }],
    });
    await withSandbox({ network: { rules: rulesWith(secret.name) } }, async (sandbox) => {
      const told = JSON.stringify((await sandbox.getInfo()).network);
      assert.ok(told.includes(Secret.fill(secret.name)));
      assert.ok(!told.includes(value));
      const inside = await sandbox.commands.run("env; cat /proc/self/environ /run/envd/* 2>/dev/null | tr -d '\\0'");
      assert.ok(!inside.stdout.includes(value));

      await assert.rejects(sandbox.updateNetwork({ rules: rulesWith("there-is-none") }), SandboxError);
      await Secret.update(secret.name, `${value}-2`);
      await sandbox.pause();
      await sandbox.connect();
      assert.equal((await sandbox.commands.run("echo still here")).stdout, "still here\n");
    });
  });
});

test("a sandbox's rules refer to an identity token that the sandbox does not see", async () => {
  const iam = { tokens: { aws: Secret.iamToken({ audience: "sts.amazonaws.com", tokenType: "JWT-SVID" }) } };
  const rulesWith = (name: string) => ({
    "api.example.com": [{ transform: { headers: { Authorization: `Bearer \${e2b.identity.tokens.${name}}` } } }],
  });
  const transform: SandboxNetworkRule["transform"] = ({ iam }) => ({ headers: { Authorization: `Bearer ${iam.tokens.aws}` } });
  await withSandbox({ iam, network: { rules: { "api.example.com": [{ transform }] } } }, async (sandbox) => {
    const told = JSON.stringify((await sandbox.getInfo()).network);
    assert.ok(told.includes("${e2b.identity.tokens.aws}"));
    await sandbox.updateNetwork({ rules: rulesWith("aws") });
    await assert.rejects(sandbox.updateNetwork({ rules: rulesWith("gcp") }), SandboxError);
    const inside = await sandbox.commands.run("env; cat /proc/self/environ /run/envd/* 2>/dev/null | tr -d '\\0'");
    assert.ok(!inside.stdout.includes("sts.amazonaws.com"));
  });
  await assert.rejects(withSandbox({ iam: { tokens: { aws: { audience: "x", tokenType: "JWT" } } } }, async () => {}), SandboxError);
  const published = await fetch(new URL("/.well-known/jwks.json", process.env.E2B_API_URL));
  const { keys } = (await published.json()) as { keys: { kty: string; d?: string }[] };
  assert.ok(keys.length > 0, "the host has a key");
  assert.ok(keys.every(({ kty, d }) => kty === "EC" && d === undefined));
});

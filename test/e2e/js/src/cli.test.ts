// E2B's CLI builds, lists, publishes and deletes a template.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { Sandbox } from "e2b";
import { apiUrl, requiredEnvironment } from "./support.js";

const name = `cli-${randomUUID()}`;
const headers = { "X-API-Key": requiredEnvironment("E2B_API_KEY") };
const home = await mkdtemp(join(tmpdir(), "e2b-cli-"));

after(async () => {
  await rm(home, { recursive: true });
  await (await fetch(new URL(`/templates/${name}`, apiUrl), { method: "DELETE", headers })).arrayBuffer();
});

/** Runs the CLI, which must end well, and returns what it prints. */
async function e2b(...args: string[]): Promise<string> {
  const program = join("node_modules", ".bin", "e2b");
  const { stdout, stderr } = await promisify(execFile)(program, args, {
    env: { ...process.env, HOME: home, NO_UPDATE_NOTIFIER: "1" },
    timeout: 300_000,
  });
  return stdout + stderr;
}

/** The template as the API lists it. */
async function listed(): Promise<{ templateID: string; public: boolean } | undefined> {
  const answer = await fetch(new URL("/templates", apiUrl), { headers });
  const templates = (await answer.json()) as { templateID: string; public: boolean; aliases: string[] }[];
  return templates.find((template) => template.aliases.includes(name));
}

test("a Dockerfile becomes a template, which is listed, published and deleted", async () => {
  await writeFile(join(home, "greeting"), "hello from a file\n");
  await writeFile(join(home, "Dockerfile"), "FROM e2bdev/base\nWORKDIR /srv\nCOPY greeting /srv/greeting\nRUN wc -c /srv/greeting > /srv/size\n");
  await e2b("template", "create", name, "--path", home, "--cmd", "python3 -m http.server 8000", "--ready-cmd", "curl -fs localhost:8000", "--cpu-count", "1", "--memory-mb", "512");

  const sandbox = await Sandbox.create(name, { timeoutMs: 120_000 });
  try {
    assert.equal((await sandbox.commands.run("cat /srv/greeting")).stdout, "hello from a file\n");
    assert.match((await sandbox.commands.run("cat /srv/size")).stdout, /^18 /);
    assert.equal((await sandbox.commands.run("curl -fs -o /dev/null -w '%{http_code}' localhost:8000")).stdout, "200");
  } finally {
    await sandbox.kill();
  }

  const found = await listed();
  assert.ok(found);
  assert.ok((await e2b("template", "list", "--format", "json")).includes(found.templateID));
  await e2b("template", "publish", "--yes", found.templateID);
  assert.equal((await listed())?.public, true);
  await e2b("template", "unpublish", "--yes", found.templateID);
  assert.equal((await listed())?.public, false);
  await e2b("template", "delete", "--yes", found.templateID);
  assert.equal(await listed(), undefined);
});

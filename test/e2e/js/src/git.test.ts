// The git module, and requests that are sent again.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { RateLimitError, Sandbox } from "e2b";
import { sharedSandbox } from "./support.js";

const sandbox = sharedSandbox();

test("the git module works on a repository of the sandbox's own", async () => {
  const { git, files, commands } = sandbox();
  const root = "/home/user/git";
  await commands.run(`git init -q --bare ${root}/remote.git`);
  await git.configureUser("Tester", "tester@example.com");
  assert.equal(await git.getConfig("user.name"), "Tester");
  await git.init(`${root}/one`, { initialBranch: "main" });
  await git.remoteAdd(`${root}/one`, "origin", `${root}/remote.git`);
  assert.equal(await git.remoteGet(`${root}/one`, "origin"), `${root}/remote.git`);
  await files.write(`${root}/one/file`, "first");
  assert.equal((await git.status(`${root}/one`)).fileStatus.length, 1);
  await git.add(`${root}/one`);
  await git.commit(`${root}/one`, "First");
  await git.push(`${root}/one`, { remote: "origin", branch: "main" });
  await git.clone(`${root}/remote.git`, { path: `${root}/two`, branch: "main" });
  assert.equal(await files.read(`${root}/two/file`), "first");
  await git.createBranch(`${root}/two`, "feature");
  assert.equal((await git.branches(`${root}/two`)).currentBranch, "feature");
  await git.checkoutBranch(`${root}/two`, "main");
  await git.deleteBranch(`${root}/two`, "feature");
  await files.write(`${root}/one/file`, "second");
  await git.add(`${root}/one`);
  await git.commit(`${root}/one`, "Second");
  await git.push(`${root}/one`, { remote: "origin", branch: "main" });
  await git.pull(`${root}/two`);
  assert.equal(await files.read(`${root}/two/file`), "second");
});

test("a request that was refused for being too many is sent again", async () => {
  const lose = () => ({ apiHeaders: { "X-Test-Lose-Answer": `429 ${randomUUID()}` } });
  const { sandboxId } = sandbox();
  assert.equal((await Sandbox.getInfo(sandboxId, lose())).sandboxId, sandboxId);
  await assert.rejects(Sandbox.getInfo(sandboxId, { ...lose(), retries: 0 }), RateLimitError);
});

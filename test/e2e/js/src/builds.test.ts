// Templates that the SDK has built, and how their builds fail.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { BuildError, type LogEntry, Sandbox, Template, type TemplateClass } from "e2b";
import { apiUrl, eventually, requiredEnvironment } from "./support.js";

/** The templates that a file's cases have built, which are deleted after them. */
const built: string[] = [];
let files: string;

before(async () => {
  files = await mkdtemp(join(tmpdir(), "wrenn-builds-"));
  await mkdir(join(files, "app", "nested"), { recursive: true });
  await writeFile(join(files, "app", "main.py"), "print('hello')\n");
  await writeFile(join(files, "app", "nested", "data.txt"), "nested data\n");
  await writeFile(join(files, "app", "run.sh"), "#!/bin/sh\necho ran\n");
  await chmod(join(files, "app", "run.sh"), 0o755);
  await symlink("main.py", join(files, "app", "link.py"));
  await writeFile(join(files, "one.txt"), "one\n");
  await writeFile(join(files, "two.txt"), "two\n");
  await writeFile(join(files, "ignored.md"), "ignored\n");
});

after(async () => {
  await rm(files, { recursive: true });
  for (const name of built) await call("DELETE", `/templates/${encodeURIComponent(name)}`);
});

/** call calls the API where the SDK has no function for it. */
async function call(method: string, path: string): Promise<number> {
  const response = await fetch(new URL(path, apiUrl), { method, headers: { "X-API-Key": requiredEnvironment("E2B_API_KEY") } });
  await response.arrayBuffer();
  return response.status;
}

/** newName makes a name of a template that is deleted after the cases. */
function newName(): string {
  const name = `built-${randomUUID()}`;
  built.push(name);
  return name;
}

/** build builds a template and returns what it logged. */
async function build(template: TemplateClass, name: string, options: { skipCache?: boolean; tags?: string[] } = {}): Promise<string> {
  const log: LogEntry[] = [];
  await Template.build(template, name, { cpuCount: 1, memoryMB: 512, ...options, onBuildLogs: (entry) => log.push(entry) });
  return log.map((entry) => entry.message).join("\n");
}

async function inSandbox(template: string, use: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  const sandbox = await Sandbox.create(template, { timeoutMs: 120_000 });
  try {
    await use(sandbox);
  } finally {
    await sandbox.kill();
  }
}

async function run(sandbox: Sandbox, command: string): Promise<string> {
  return (await sandbox.commands.run(command)).stdout.trim();
}

test("steps, files, a start and a ready command make a template that is started from at once", async () => {
  const name = newName();
  const template = Template({ fileContextPath: files, fileIgnorePatterns: ["*.md"] })
    .fromTemplate("base")
    .setUser("root")
    .setWorkdir("/srv/site")
    .setEnvs({ GREETING: "hello" })
    .setEnvs({ MESSAGE: "$GREETING world" })
    .copy("app", "app/")
    .copy(["one.txt", "two.txt"], "/srv/texts/", { user: "user", mode: 0o640 })
    .runCmd(['echo "$MESSAGE" > message', "id -un >> message"])
    .makeDir("/srv/made")
    .setUser("user")
    .runCmd("id -un > /tmp/who")
    .setStartCmd("echo begun > /tmp/begun; exec sleep infinity", "test -e /tmp/begun");
  const log = await build(template, name, { tags: ["v1", "stable"] });
  for (const said of ["[base]", "id -un", "[finalize]"]) assert.ok(log.includes(said), `${said} in:\n${log}`);
  assert.equal(await Template.exists(name), true);
  assert.equal(await Template.exists(`${name}:v1`), true);
  await inSandbox(name, async (sandbox) => {
    assert.equal(await run(sandbox, "cat /srv/site/message"), "hello world\nroot");
    assert.equal(await run(sandbox, "cat /tmp/who"), "user");
    assert.equal(await run(sandbox, "cat /srv/site/app/nested/data.txt && /srv/site/app/run.sh && readlink /srv/site/app/link.py"), "nested data\nran\nmain.py");
    assert.equal(await run(sandbox, "stat -c %U:%a /srv/texts/one.txt && cat /srv/texts/two.txt"), "user:640\ntwo");
    assert.equal(await run(sandbox, "test -e /srv/site/ignored.md || echo none"), "none");
    assert.equal(await run(sandbox, "echo $MESSAGE && pwd && id -un"), "hello world\n/srv/site\nuser");
    assert.equal(await run(sandbox, "pgrep -x sleep | wc -l"), "1");
  });
  const tags = (await Template.getTags(name)).map(({ tag }) => tag);
  assert.deepEqual(tags.filter((tag) => tag !== "default").sort(), ["stable", "v1"]);
  assert.equal(await call("DELETE", `/templates/${name}`), 204);
  assert.equal(await Template.exists(name), false);
  await assert.rejects(Sandbox.create(name));
});

test("what has not changed is taken from the cache, unless it is skipped", async () => {
  const name = newName();
  const steps = (last: string) =>
    Template().fromTemplate("base").runCmd("date +%s%N > /tmp/first").runCmd(`date +%s%N > /tmp/second # ${last}`);
  const times = async (): Promise<string[]> => {
    let read: string[] = [];
    await inSandbox(name, async (sandbox) => {
      read = (await run(sandbox, "cat /tmp/first /tmp/second")).split("\n");
    });
    return read;
  };
  await build(steps(randomUUID()), name);
  const [first, second] = await times();
  const mark = randomUUID();
  const changed = await build(steps(mark), name);
  assert.match(changed, /CACHED \[builder 1\/2\]/);
  assert.doesNotMatch(changed, /CACHED \[builder 2\/2\]/);
  const [again, other] = await times();
  assert.equal(again, first, "the step before the change");
  assert.notEqual(other, second, "the step that was changed");
  assert.match(await build(steps(mark), name), /CACHED \[builder 2\/2\]/);
  assert.doesNotMatch(await build(steps(mark), name, { skipCache: true }), /CACHED/);
  assert.notEqual((await times())[0], first);
});

/** failureOf builds what must fail, and returns its error. */
async function failureOf(template: TemplateClass): Promise<BuildError> {
  const failed = await build(template, newName()).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(failed instanceof BuildError, `${failed} is no BuildError`);
  return failed;
}

/** lineHere is the line of its caller, as stack traces name it. */
function lineHere(): number {
  const frame = new Error().stack?.split("\n")[2] ?? "";
  return Number(/:(\d+):\d+\)?$/.exec(frame)?.[1]);
}

test("a step that fails is told with its output, exit code and the line that asked for it", async () => {
  const begun = Template().fromTemplate("base").runCmd("true");
  const line = lineHere() + 1;
  begun.runCmd("echo what went wrong; exit 7");
  begun.runCmd("true");
  const failed = await failureOf(begun as unknown as TemplateClass);
  assert.match(failed.message, /Step 2: .*exit code 7/);
  assert.match(failed.message, /what went wrong/);
  assert.match(failed.stack ?? "", new RegExp(`builds\\.test\\.js:${line}:`));
});

test("a template that is not there fails at the line that names it", async () => {
  const line = lineHere() + 1;
  const template = Template().fromTemplate(`none-${randomUUID()}`).runCmd("true");
  const failed = await failureOf(template);
  assert.match(failed.message, /was not found/);
  assert.match(failed.stack ?? "", new RegExp(`builds\\.test\\.js:${line}:`));
});

test("a ready command that needs what the start command does not do fails with what was printed", async () => {
  const line = lineHere() + 1;
  const template = Template().fromTemplate("base").setStartCmd("echo cannot start; exit 3", "false");
  const failed = await failureOf(template);
  assert.match(failed.message, /exit code 3/);
  assert.match(failed.message, /cannot start/);
  assert.match(failed.stack ?? "", new RegExp(`builds\\.test\\.js:${line}:`));
});

test("builds go on in the background, are asked for their status and log, and are cancelled", async () => {
  const options = { cpuCount: 1, memoryMB: 512 };
  const quick = await Template.buildInBackground(Template().fromTemplate("base").runCmd("echo said in the background"), newName(), options);
  const slow = await Template.buildInBackground(Template().fromTemplate("base").runCmd("echo asleep; sleep 600"), newName(), options);
  const ended = await eventually(
    "the quick build",
    async () => {
      const status = await Template.getBuildStatus(quick);
      assert.notEqual(status.status, "error", status.reason?.message);
      return status.status === "ready" ? status : undefined;
    },
    180_000,
  );
  assert.ok(ended.logEntries.some((entry) => entry.message.includes("said in the background")));
  const rest = await Template.getBuildStatus(quick, { logsOffset: ended.logEntries.length });
  assert.deepEqual(rest.logEntries, []);
  await eventually(
    "the slow build's step",
    async () => ((await Template.getBuildStatus(slow)).logEntries.some((entry) => entry.message.includes("asleep")) ? true : undefined),
    120_000,
  );
  assert.equal(await call("POST", `/templates/${slow.templateId}/builds/${slow.buildId}/cancel`), 204);
  const cancelled = await Template.getBuildStatus(slow);
  assert.equal(cancelled.status, "error");
  assert.match(cancelled.reason?.message ?? "", /cancelled/i);
});

test("a template is built from one's own, and a tag from another build", async () => {
  const name = newName();
  await build(Template().fromTemplate("base").runCmd("echo first | sudo tee /opt/layer"), `${name}:v1`);
  const other = newName();
  await build(Template().fromTemplate(`${name}:v1`).runCmd("echo second | sudo tee -a /opt/layer"), other);
  await inSandbox(other, async (sandbox) => assert.equal(await run(sandbox, "cat /opt/layer"), "first\nsecond"));
  const assigned = await Template.assignTags(`${name}:v1`, ["production"]);
  await inSandbox(`${name}:production`, async (sandbox) => assert.equal(await run(sandbox, "cat /opt/layer"), "first"));
  assert.deepEqual(assigned.tags, ["production"]);
});


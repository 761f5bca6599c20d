// Watching directories.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FileNotFoundError, type FilesystemEvent, FilesystemEventType } from "e2b";
import { eventually, sharedSandbox } from "./support.js";

const shared = sharedSandbox();

function sees(events: FilesystemEvent[], type: FilesystemEventType, name: string): Promise<FilesystemEvent> {
  return eventually(`${type} of ${name}`, () => events.find((event) => event.type === type && event.name === name));
}

test("a watched directory tells what happens in it", async () => {
  await shared().files.makeDir("/tmp/watched");
  const events: FilesystemEvent[] = [];
  const handle = await shared().files.watchDir("/tmp/watched", (event) => void events.push(event), { includeEntry: true });

  await shared().files.write("/tmp/watched/file", "x");
  const created = await sees(events, FilesystemEventType.CREATE, "file");
  assert.equal(created.entry?.path, "/tmp/watched/file");
  await sees(events, FilesystemEventType.WRITE, "file");
  await shared().commands.run("chmod 600 /tmp/watched/file");
  await sees(events, FilesystemEventType.CHMOD, "file");
  await shared().files.rename("/tmp/watched/file", "/tmp/watched/moved");
  await sees(events, FilesystemEventType.RENAME, "file");
  await shared().files.remove("/tmp/watched/moved");
  await sees(events, FilesystemEventType.REMOVE, "moved");
  await handle.stop();
});

test("a recursive watch reaches directories made later", async () => {
  await shared().files.makeDir("/tmp/deeply");
  const events: FilesystemEvent[] = [];
  const handle = await shared().files.watchDir("/tmp/deeply", (event) => void events.push(event), { recursive: true });
  await shared().files.makeDir("/tmp/deeply/new");
  await sees(events, FilesystemEventType.CREATE, "new");
  await shared().files.write("/tmp/deeply/new/file", "x");
  await sees(events, FilesystemEventType.WRITE, "new/file");
  await handle.stop();
});

test("events tell of entries only where that is asked for", async () => {
  await shared().files.makeDir("/tmp/entries");
  const plain: FilesystemEvent[] = [];
  const complete: FilesystemEvent[] = [];
  const first = await shared().files.watchDir("/tmp/entries", (event) => void plain.push(event));
  const second = await shared().files.watchDir("/tmp/entries", (event) => void complete.push(event), {
    includeEntry: true,
    allowNetworkMounts: true,
    recursive: true,
  });
  await shared().files.write("/tmp/entries/sub/file", "four", { metadata: { kind: "test" } });
  await sees(plain, FilesystemEventType.CREATE, "sub");
  const { entry } = await sees(complete, FilesystemEventType.WRITE, "sub/file");
  assert.equal(entry?.path, "/tmp/entries/sub/file");
  assert.equal(entry.size, 4);
  assert.equal(entry.owner, "user");
  assert.ok(plain.every((event) => event.entry === undefined));
  await first.stop();
  await second.stop();
});

test("a watch that is stopped tells no more, and the directory can be watched again", async () => {
  await shared().files.makeDir("/tmp/twice");
  const before: FilesystemEvent[] = [];
  const first = await shared().files.watchDir("/tmp/twice", (event) => void before.push(event));
  await shared().files.write("/tmp/twice/one", "x");
  await sees(before, FilesystemEventType.CREATE, "one");
  await first.stop();
  const after: FilesystemEvent[] = [];
  const second = await shared().files.watchDir("/tmp/twice", (event) => void after.push(event));
  await shared().files.write("/tmp/twice/two", "x");
  await sees(after, FilesystemEventType.CREATE, "two");
  assert.ok(before.every(({ name }) => name !== "two"));
  await second.stop();
});

test("watching what does not exist is not found", async () => {
  await assert.rejects(shared().files.watchDir("/tmp/never-made", () => undefined), FileNotFoundError);
});

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

test("watching what does not exist is not found", async () => {
  await assert.rejects(shared().files.watchDir("/tmp/never-made", () => undefined), FileNotFoundError);
});

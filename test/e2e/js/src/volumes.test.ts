// Volumes: what clients keep in them, and sandboxes that mount them.
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import { Sandbox, Volume, VolumeError, VolumeNotFoundError, VolumePathNotFoundError } from "e2b";
import { eventually, requiredEnvironment, withSandbox } from "./support.js";

process.env.E2B_VOLUME_API_URL ??= requiredEnvironment("E2B_API_URL");

/** withVolume gives one case a volume of its own, destroyed in any event. */
async function withVolume(use: (volume: Volume) => Promise<void>): Promise<void> {
  const volume = await Volume.create(`volume-${randomUUID()}`);
  try {
    await use(volume);
  } finally {
    await Volume.destroy(volume.volumeId);
  }
}

test("volumes are created, listed, connected to and destroyed", async () => {
  const name = `volume-${randomUUID()}`;
  const volume = await Volume.create(name);
  assert.equal(volume.name, name);
  assert.ok((await Volume.list()).some((listed) => listed.volumeId === volume.volumeId && listed.name === name));
  await assert.rejects(Volume.create(name), VolumeError);
  const again = await Volume.connect(volume.volumeId);
  assert.deepEqual([again.name, again.token], [volume.name, volume.token]);
  assert.equal(await Volume.destroy(volume.volumeId), true);
  await assert.rejects(Volume.connect(volume.volumeId), VolumeNotFoundError);
});

test("clients read and write what is in a volume", async () => {
  await withVolume(async (volume) => {
    const written = await volume.writeFile("/notes.txt", "first");
    assert.deepEqual([written.name, written.type, written.path, written.size], ["notes.txt", "file", "/notes.txt", 5]);
    assert.equal(await volume.readFile("/notes.txt"), "first");
    await volume.writeFile("/notes.txt", "second", { mode: 0o600, uid: 1000, gid: 1000 });
    assert.equal(await volume.readFile("notes.txt"), "second");

    await assert.rejects(volume.makeDir("/a/b"), VolumePathNotFoundError);
    const made = await volume.makeDir("/a/b", { force: true, mode: 0o750 });
    assert.deepEqual([made.type, made.mode], ["directory", 0o750]);
    const bytes = new Uint8Array(randomBytes(3 << 20));
    await volume.writeFile("/a/b/bytes", new Blob([bytes]));
    assert.deepEqual(await volume.readFile("/a/b/bytes", { format: "bytes" }), bytes);
    const chunks: Uint8Array[] = [];
    for await (const chunk of await volume.readFile("/a/b/bytes", { format: "stream" })) chunks.push(chunk);
    assert.deepEqual(new Uint8Array(Buffer.concat(chunks)), bytes);

    assert.deepEqual((await volume.list("/")).map((entry) => entry.path).sort(), ["/a", "/notes.txt"]);
    assert.equal((await volume.list("/", { depth: 3 })).length, 4);
    const changed = await volume.updateMetadata("/notes.txt", { mode: 0o644, uid: 5 });
    assert.deepEqual([changed.mode, changed.uid, changed.gid], [0o644, 5, 1000]);
    assert.ok(changed.mtime instanceof Date);
    assert.equal(await volume.exists("/notes.txt"), true);
    await volume.remove("/a");
    assert.equal(await volume.exists("/a"), false);
    await assert.rejects(volume.readFile("/none"), VolumePathNotFoundError);
    await assert.rejects(volume.list("/none"), VolumePathNotFoundError);
  });
});

test("a token opens its own volume only", async () => {
  await withVolume(async (volume) => {
    await withVolume(async (other) => {
      const thief = new Volume(volume.volumeId, volume.name, other.token);
      await assert.rejects(thief.list("/"));
      await assert.rejects(thief.writeFile("/x", "x"));
    });
    assert.deepEqual(await volume.list("/"), []);
  });
});

test("sandboxes share a volume, with clients and across a pause", async () => {
  await withVolume(async (volume) => {
    await volume.writeFile("/from-client", "client");
    const options = { volumeMounts: { "/mnt/shared": volume } };
    await withSandbox(options, async (first) => {
      assert.deepEqual((await first.getInfo()).volumeMounts, [{ name: volume.name, path: "/mnt/shared" }]);
      assert.equal((await first.commands.run("cat /mnt/shared/from-client")).stdout, "client");
      await withSandbox(options, async (second) => {
        await first.commands.run("echo first > /mnt/shared/from-first");
        const seen = await eventually("the other's file", async () => {
          const { stdout } = await second.commands.run("cat /mnt/shared/from-first 2>/dev/null || true");
          return stdout === "" ? undefined : stdout;
        });
        assert.equal(seen, "first\n");
      });
      await first.pause();
      assert.equal(await volume.readFile("/from-first"), "first\n");
      await assert.rejects(Volume.destroy(volume.volumeId), VolumeError);
      const resumed = await Sandbox.connect(first.sandboxId);
      assert.equal((await resumed.commands.run("cat /mnt/shared/from-first")).stdout, "first\n");
      await resumed.commands.run("echo later > /mnt/shared/later");
      assert.equal(await volume.readFile("/later"), "later\n");
    });
  });
});

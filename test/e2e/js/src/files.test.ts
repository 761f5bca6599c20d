// Files and directories: in, out, and what is told of them.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { resolve } from "node:path/posix";
import { test } from "node:test";
import { FileNotFoundError, FileType, InvalidArgumentError, type Sandbox } from "e2b";
import { apiUrl, sharedSandbox } from "./support.js";

const shared = sharedSandbox();

const sha256 = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

function bytesOf(data: Buffer): ArrayBuffer {
  return new Uint8Array(data).buffer;
}

async function checksum(sandbox: Sandbox, path: string): Promise<string> {
  const { stdout } = await sandbox.commands.run(`sha256sum ${path}`);
  return stdout.split(" ")[0] ?? "";
}

test("text is written and read", async () => {
  const text = "one line\nzwei ü, 三\n";
  const written = await shared().files.write("/tmp/text.txt", text);
  assert.deepEqual({ ...written }, { name: "text.txt", type: FileType.FILE, path: "/tmp/text.txt", metadata: undefined });
  assert.equal(await shared().files.read("/tmp/text.txt"), text);
});

test("a second write leaves nothing of a longer first one", async () => {
  await shared().files.write("/tmp/overwritten", "a long first text");
  await shared().files.write("/tmp/overwritten", "short");
  assert.equal(await shared().files.read("/tmp/overwritten"), "short");
});

test("an empty file is written and read", async () => {
  await shared().files.write("/tmp/empty", "");
  assert.equal(await shared().files.read("/tmp/empty"), "");
  assert.equal((await shared().files.read("/tmp/empty", { format: "bytes" })).length, 0);
});

test("bytes are written and read as they are", async () => {
  const data = randomBytes(300_000);
  await shared().files.write("/tmp/bytes", bytesOf(data));
  assert.equal(await checksum(shared(), "/tmp/bytes"), sha256(data));
  const read = await shared().files.read("/tmp/bytes", { format: "bytes" });
  assert.equal(sha256(read), sha256(data));
});

test("a stream of megabytes is written and read", async () => {
  const blocks = Array.from({ length: 8 }, () => randomBytes(1 << 20));
  const all = Buffer.concat(blocks);
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const block of blocks) controller.enqueue(new Uint8Array(block));
      controller.close();
    },
  });
  await shared().files.write("/tmp/stream", source);
  assert.equal(await checksum(shared(), "/tmp/stream"), sha256(all));

  const hash = createHash("sha256");
  for await (const chunk of await shared().files.read("/tmp/stream", { format: "stream" })) hash.update(chunk);
  assert.equal(hash.digest("hex"), sha256(all));
});

test("compressed uploads and downloads carry the same bytes", async () => {
  const text = "again and again ".repeat(10_000);
  await shared().files.write("/tmp/compressed", text, { gzip: true });
  assert.equal(await checksum(shared(), "/tmp/compressed"), sha256(Buffer.from(text)));
  assert.equal(await shared().files.read("/tmp/compressed", { gzip: true }), text);
});

test("many files are written at once, with the directories they need", async () => {
  const written = await shared().files.write([
    { path: "/tmp/many/a/one", data: "1" },
    { path: "/tmp/many/b/two", data: "22" },
    { path: "three", data: "333" },
  ]);
  assert.deepEqual(written.map(({ path }) => path), ["/tmp/many/a/one", "/tmp/many/b/two", "/home/user/three"]);
  assert.equal(await shared().files.read("/tmp/many/b/two"), "22");
  assert.equal(await shared().files.read("/home/user/three"), "333");
});

test("what is written belongs to the user who wrote it", async () => {
  await shared().files.write("/tmp/owned/by-user", "x");
  await shared().files.write("owned-by-root", "x", { user: "root" });
  const { stdout } = await shared().commands.run(
    "sudo stat -c '%U:%G %n' /tmp/owned /tmp/owned/by-user /root/owned-by-root",
  );
  assert.equal(stdout, "user:user /tmp/owned\nuser:user /tmp/owned/by-user\nroot:root /root/owned-by-root\n");
});

test("files are written where the user alone could not", async () => {
  await shared().files.write("/app/src/main.py", "print(6 * 7)");
  await shared().files.makeDir("/app/data/raw");
  await shared().files.rename("/app/src/main.py", "/srv/moved/main.py");
  const { stdout } = await shared().commands.run("python3 /srv/moved/main.py; stat -c %U /app /app/src /app/data/raw /srv/moved");
  assert.equal(stdout, `42\n${"user\n".repeat(4)}`);
  await shared().files.remove("/app");
  assert.equal(await shared().files.exists("/app"), false);
});

test("a write keeps the other names of a file", async () => {
  await shared().commands.run("echo old > /tmp/linked && ln /tmp/linked /tmp/other-name");
  await shared().files.write("/tmp/linked", "new");
  assert.equal(await shared().files.read("/tmp/other-name"), "new");
});

test("a link is what it leads to", async () => {
  await shared().commands.run("mkdir -p /tmp/links/real && touch /tmp/links/file && cd /tmp/links && ln -s real directory && ln -s file other && ln -s no dangling");
  const entries = await shared().files.list("/tmp/links");
  const types = Object.fromEntries(entries.map(({ name, type }) => [name, type]));
  assert.deepEqual(types, { directory: FileType.DIR, file: FileType.FILE, other: FileType.FILE, real: FileType.DIR });
  assert.equal((await shared().files.getInfo("/tmp/links/directory")).symlinkTarget, "/tmp/links/real");
});

test("metadata is kept with the file", async () => {
  await shared().files.write("/tmp/labelled", "x", { metadata: { author: "a b c", Kind: "test" } });
  const info = await shared().files.getInfo("/tmp/labelled");
  assert.deepEqual(info.metadata, { author: "a b c", kind: "test" });
});

test("each upload replaces the metadata, in either format", async () => {
  for (const useOctetStream of [true, false]) {
    await shared().files.write("/tmp/relabelled", "one", { useOctetStream, metadata: { first: "1", both: "1" } });
    const written = await shared().files.write("/tmp/relabelled", "two", { useOctetStream, metadata: { both: "2" } });
    assert.deepEqual(written.metadata, { both: "2" });
    const info = await shared().files.getInfo("/tmp/relabelled");
    assert.deepEqual(info.metadata, { both: "2" });
    assert.equal(await shared().files.read("/tmp/relabelled"), "two");
    const [listed] = await shared().files.list("/tmp").then((all) => all.filter(({ name }) => name === "relabelled"));
    assert.deepEqual(listed?.metadata, { both: "2" });
    await shared().files.write("/tmp/relabelled", "three", { useOctetStream });
    assert.equal((await shared().files.getInfo("/tmp/relabelled")).metadata, undefined);
  }
});

test("metadata that cannot be kept is an invalid argument", async () => {
  for (const metadata of [{ bad: "ü" }, { bad: "x".repeat(5000) }]) {
    await assert.rejects(shared().files.write("/tmp/unlabelled", "x", { metadata }), InvalidArgumentError);
  }
  assert.equal(await shared().files.exists("/tmp/unlabelled"), false);
});

test("a directory is listed, to the depth asked for", async () => {
  await shared().commands.run("mkdir -p /tmp/listed/sub/deep && echo hello > /tmp/listed/file && ln -s file /tmp/listed/link");
  const entries = await shared().files.list("/tmp/listed");
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  assert.deepEqual([...byName.keys()].sort(), ["file", "link", "sub"]);
  assert.equal(byName.get("file")?.type, FileType.FILE);
  assert.equal(byName.get("file")?.size, 6);
  assert.equal(byName.get("file")?.path, "/tmp/listed/file");
  assert.equal(byName.get("sub")?.type, FileType.DIR);
  assert.equal(resolve("/tmp/listed", byName.get("link")?.symlinkTarget ?? ""), "/tmp/listed/file");

  const deeper = await shared().files.list("/tmp/listed", { depth: 2 });
  assert.deepEqual(deeper.map(({ path }) => path).sort(), [
    "/tmp/listed/file",
    "/tmp/listed/link",
    "/tmp/listed/sub",
    "/tmp/listed/sub/deep",
  ]);
});

test("listing what is not a directory fails as the SDK knows it", async () => {
  await assert.rejects(shared().files.list("/tmp/no-such-directory"), FileNotFoundError);
  await shared().files.write("/tmp/not-a-directory", "x");
  await assert.rejects(shared().files.list("/tmp/not-a-directory"), InvalidArgumentError);
});

test("existence is told", async () => {
  await shared().files.write("/tmp/there", "x");
  assert.equal(await shared().files.exists("/tmp/there"), true);
  assert.equal(await shared().files.exists("/tmp"), true);
  assert.equal(await shared().files.exists("/tmp/not-there"), false);
});

test("a directory is made once", async () => {
  assert.equal(await shared().files.makeDir("/tmp/made/with/parents"), true);
  assert.equal(await shared().files.makeDir("/tmp/made/with/parents"), false);
  assert.equal((await shared().files.getInfo("/tmp/made/with/parents")).type, FileType.DIR);
});

test("a file is renamed", async () => {
  await shared().files.write("/tmp/old-name", "kept");
  const renamed = await shared().files.rename("/tmp/old-name", "/tmp/new-name");
  assert.equal(renamed.path, "/tmp/new-name");
  assert.equal(renamed.name, "new-name");
  assert.equal(await shared().files.exists("/tmp/old-name"), false);
  assert.equal(await shared().files.read("/tmp/new-name"), "kept");
  await assert.rejects(shared().files.rename("/tmp/old-name", "/tmp/anything"), FileNotFoundError);
});

test("files and whole directories are removed", async () => {
  await shared().files.write("/tmp/removed/inner/file", "x");
  await shared().files.remove("/tmp/removed/inner/file");
  assert.equal(await shared().files.exists("/tmp/removed/inner/file"), false);
  await shared().files.write("/tmp/removed/inner/file", "x");
  await shared().files.remove("/tmp/removed");
  assert.equal(await shared().files.exists("/tmp/removed"), false);
});

test("information about a file is complete", async () => {
  await shared().commands.run("echo hello > /tmp/known && chmod 640 /tmp/known");
  const info = await shared().files.getInfo("/tmp/known");
  assert.equal(info.name, "known");
  assert.equal(info.type, FileType.FILE);
  assert.equal(info.path, "/tmp/known");
  assert.equal(info.size, 6);
  assert.equal(info.mode, 0o640);
  assert.equal(info.permissions, "-rw-r-----");
  assert.equal(info.owner, "user");
  assert.equal(info.group, "user");
  const ageMs = Date.now() - (info.modifiedTime?.getTime() ?? 0);
  assert.ok(Math.abs(ageMs) < 60_000, `modified ${ageMs} ms ago`);
});

test("what does not exist is not found", async () => {
  await assert.rejects(shared().files.read("/tmp/no-such-file"), FileNotFoundError);
  await assert.rejects(shared().files.read("/tmp/no-such-file", { format: "stream" }), FileNotFoundError);
  await assert.rejects(shared().files.getInfo("/tmp/no-such-file"), FileNotFoundError);
});

test("reading a directory is an invalid argument", async () => {
  await assert.rejects(shared().files.read("/tmp"), InvalidArgumentError);
});

test("a signed URL opens one file and no other", async () => {
  // The shared base URL names no sandbox, so these two headers do.
  const headers = { "E2b-Sandbox-Id": shared().sandboxId, "E2b-Sandbox-Port": "49983" };
  const form = new FormData();
  form.append("file", new Blob(["by URL"]), "signed");
  const upload = await fetch(await shared().uploadUrl("/tmp/signed"), { method: "POST", body: form, headers });
  assert.equal(upload.status, 200, await upload.text());

  const url = new URL(await shared().downloadUrl("/tmp/signed", { useSignatureExpiration: 60 }));
  assert.equal(url.host, apiUrl.host);
  assert.equal(await (await fetch(url, { headers })).text(), "by URL");

  url.searchParams.set("path", "/etc/passwd");
  assert.equal((await fetch(url, { headers })).status, 401);
});

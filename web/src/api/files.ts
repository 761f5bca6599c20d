import { call, type Guest, request } from "./connect";
import { run } from "./process";

export interface Entry {
  name: string;
  type?: "FILE_TYPE_FILE" | "FILE_TYPE_DIRECTORY" | "FILE_TYPE_SYMLINK";
  path: string;
  size?: string | number;
  permissions?: string;
  owner?: string;
  modifiedTime?: string;
  symlinkTarget?: string;
}

export function isDirectory(entry: Entry): boolean {
  return entry.type === "FILE_TYPE_DIRECTORY";
}

/** Lists a directory, directories first. */
export async function listDirectory(guest: Guest, path: string): Promise<Entry[]> {
  const { entries } = await call<{ entries?: Entry[] }>(guest, "filesystem.Filesystem/ListDir", { path, depth: 1 });
  return (entries ?? []).sort(
    (a, b) => Number(isDirectory(b)) - Number(isDirectory(a)) || a.name.localeCompare(b.name),
  );
}

export function makeDirectory(guest: Guest, path: string): Promise<unknown> {
  return call(guest, "filesystem.Filesystem/MakeDir", { path });
}

export function move(guest: Guest, source: string, destination: string): Promise<unknown> {
  return call(guest, "filesystem.Filesystem/Move", { source, destination });
}

export function remove(guest: Guest, path: string): Promise<unknown> {
  return call(guest, "filesystem.Filesystem/Remove", { path });
}

function fileURL(path: string): string {
  return `/files?path=${encodeURIComponent(path)}`;
}

export async function readFile(guest: Guest, path: string): Promise<Blob> {
  return (await request(guest, fileURL(path))).blob();
}

export async function writeFile(guest: Guest, path: string, content: Blob): Promise<void> {
  const form = new FormData();
  form.append("file", content, path.slice(path.lastIndexOf("/") + 1));
  await request(guest, fileURL(path), { method: "POST", body: form });
}

/** Packs a directory in the guest, and returns the archive. */
export async function packDirectory(guest: Guest, path: string): Promise<Blob> {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const parent = path.slice(0, path.lastIndexOf("/")) || "/";
  const archive = `/tmp/wrenn-${crypto.getRandomValues(new Uint32Array(2)).join("")}.tar.gz`;
  const [from, what] = name === "" ? ["/", "."] : [parent, `./${name}`];
  try {
    await run(guest, "tar", ["-czf", archive, "--exclude", archive.slice(1), "-C", from, what]);
    return await readFile(guest, archive);
  } finally {
    await remove(guest, archive).catch(() => undefined);
  }
}

/** Has the browser keep a file. */
export function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

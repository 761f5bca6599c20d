import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import type { Guest } from "../../api/connect";
import { readFile, save, writeFile } from "../../api/files";
import { Button } from "../../ui/controls";
import { bytes } from "../../ui/format";
import { Empty, ErrorNote, Loading, useAct } from "../../ui/notes";
import type { EditorHandle } from "./editorview";

/** Larger files are only downloaded. */
const longestText = 2 * 1024 * 1024;

interface EditorProps {
  guest: Guest;
  path: string;
  onClose: () => void;
}

type Content = { kind: "text"; text: string } | { kind: "other"; size: number; why: string };

async function read(guest: Guest, path: string): Promise<Content> {
  const blob = await readFile(guest, path);
  if (blob.size > longestText) return { kind: "other", size: blob.size, why: "It is too large to be edited here." };
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await blob.arrayBuffer());
    if (!text.includes("\0")) return { kind: "text", text };
  } catch {
    // no UTF-8
  }
  return { kind: "other", size: blob.size, why: "It is no text." };
}

export function Editor({ guest, path, onClose }: EditorProps) {
  const queries = useQueryClient();
  const file = useQuery({
    queryKey: ["file", guest.sandboxID, path],
    queryFn: () => read(guest, path),
    retry: false,
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
  });
  const [dirty, setDirty] = useState(false);
  const [saving, setSaving] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  const handle = useRef<EditorHandle | null>(null);
  const act = useAct();
  const store = async () => {
    if (handle.current === null) return;
    setSaving(true);
    await act(async () => {
      const text = handle.current?.text() ?? "";
      await writeFile(guest, path, new Blob([text]));
      setDirty(handle.current?.text() !== text);
      await queries.invalidateQueries({ queryKey: ["files", guest.sandboxID] });
    }, "Saved.");
    setSaving(false);
  };
  const storing = useRef(store);
  storing.current = store;
  const text = file.data?.kind === "text" ? file.data.text : undefined;
  useEffect(() => {
    if (place.current === null || text === undefined) return;
    let gone = false;
    const target = place.current;
    import("./editorview").then(({ openEditor }) => {
      if (gone) return;
      handle.current = openEditor(target, path, text, {
        onChange: () => setDirty(true),
        onSave: () => void storing.current(),
      });
    });
    return () => {
      gone = true;
      handle.current?.close();
      handle.current = null;
    };
  }, [path, text]);
  useEffect(() => {
    if (!dirty) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [dirty]);
  const close = () => {
    if (!dirty || window.confirm(`${path} has changes that are not saved. Close it without them?`)) onClose();
  };
  return (
    <section className="panel fill editor" aria-label={path}>
      <header>
        <Button small onClick={close}>
          Back
        </Button>
        <span className="mono grow ellipsis">
          {path}
          {dirty && " (changed)"}
        </span>
        <Button
          small
          onClick={() => act(async () => save(await readFile(guest, path), path.split("/").at(-1) ?? "file"))}
        >
          Download
        </Button>
        {text !== undefined && (
          <Button small kind="primary" disabled={!dirty || saving} onClick={store}>
            Save
          </Button>
        )}
      </header>
      {file.isPending && <Loading />}
      {file.isError && (
        <div className="body">
          <ErrorNote error={file.error} retry={() => void file.refetch()} />
        </div>
      )}
      {file.data?.kind === "other" && (
        <Empty title={`${bytes(file.data.size)}`}>
          <p>{file.data.why}</p>
        </Empty>
      )}
      {text !== undefined && (
        <div className="editor-frame">
          <div className="editor-place" ref={place} />
        </div>
      )}
    </section>
  );
}

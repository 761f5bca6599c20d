import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type DragEvent, type FormEvent, useState } from "react";
import type { Guest } from "../../api/connect";
import {
  type Entry,
  isDirectory,
  listDirectory,
  makeDirectory,
  move,
  packDirectory,
  readFile,
  remove,
  save,
  writeFile,
} from "../../api/files";
import { Button, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { Ago, bytes } from "../../ui/format";
import { Empty, ErrorNote, Loading, useAct } from "../../ui/notes";
import { Table } from "../../ui/table";
import { Editor } from "./Editor";
import { WithGuest } from "./guest";
import "./files.css";

export function FilesPage() {
  return <WithGuest>{(guest) => <Files key={guest.sandboxID} guest={guest} />}</WithGuest>;
}

const home = "/home/user";

function joined(directory: string, name: string): string {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

type Asking =
  | { what: "folder" }
  | { what: "file" }
  | { what: "rename"; entry: Entry }
  | { what: "remove"; entry: Entry };

function Files({ guest }: { guest: Guest }) {
  const [directory, setDirectory] = useState(home);
  const [opened, setOpened] = useState<string | null>(null);
  const [asking, setAsking] = useState<Asking | null>(null);
  const [dragging, setDragging] = useState(false);
  const queries = useQueryClient();
  const act = useAct();
  const list = useQuery({
    queryKey: ["files", guest.sandboxID, directory],
    queryFn: () => listDirectory(guest, directory),
    retry: false,
  });
  const refresh = () => queries.invalidateQueries({ queryKey: ["files", guest.sandboxID] });
  const upload = (files: Iterable<File>) =>
    act(async () => {
      let count = 0;
      for (const file of files) {
        await writeFile(guest, joined(directory, file.name), file);
        count++;
      }
      await refresh();
      if (count === 0) throw new Error("Nothing was dropped that is a file.");
    }, `Uploaded into ${directory}.`);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setDragging(false);
    void upload(event.dataTransfer.files);
  };
  if (opened !== null) {
    return <Editor key={opened} guest={guest} path={opened} onClose={() => setOpened(null)} />;
  }
  return (
    <section
      className={dragging ? "panel dragging" : "panel"}
      aria-label="Folder"
      onDragOver={(event) => {
        event.preventDefault();
        setDragging(true);
      }}
      onDragLeave={() => setDragging(false)}
      onDrop={drop}
    >
      <header>
        <PathField path={directory} onChange={setDirectory} />
        <Button small onClick={() => setAsking({ what: "file" })}>
          New file
        </Button>
        <Button small onClick={() => setAsking({ what: "folder" })}>
          New folder
        </Button>
        <label className="button small upload">
          Upload
          <input
            type="file"
            multiple
            className="hidden-text"
            onChange={(event) => {
              void upload(event.target.files ?? []);
              event.target.value = "";
            }}
          />
        </label>
        <Button
          small
          onClick={() =>
            act(async () =>
              save(await packDirectory(guest, directory), `${directory.split("/").at(-1) || "root"}.tar.gz`),
            )
          }
        >
          Download as tar
        </Button>
      </header>
      {list.isPending && <Loading />}
      {list.isError && (
        <div className="body">
          <ErrorNote error={list.error} retry={() => void list.refetch()} />
        </div>
      )}
      {list.data?.length === 0 && (
        <Empty title="This folder is empty">
          <p>Drop files here to upload them.</p>
        </Empty>
      )}
      {list.data !== undefined && list.data.length > 0 && (
        <Table
          label="Files"
          items={list.data}
          keyOf={(entry) => entry.path}
          columns={[
            {
              title: "Name",
              cell: (entry) => (
                <button
                  type="button"
                  className={isDirectory(entry) ? "entry-name folder" : "entry-name"}
                  onClick={() => (isDirectory(entry) ? setDirectory(entry.path) : setOpened(entry.path))}
                >
                  {entry.name}
                  {entry.symlinkTarget !== undefined && <span className="muted"> → {entry.symlinkTarget}</span>}
                </button>
              ),
            },
            {
              title: "Size",
              numeric: true,
              cell: (entry) => (isDirectory(entry) ? "" : bytes(Number(entry.size ?? 0))),
            },
            { title: "Changed", wide: true, cell: (entry) => <Ago time={entry.modifiedTime} /> },
            { title: "Mode", wide: true, cell: (entry) => <span className="mono">{entry.permissions}</span> },
            { title: "Owner", wide: true, cell: (entry) => entry.owner ?? "" },
            {
              title: <span className="hidden-text">Actions</span>,
              tight: true,
              cell: (entry) => (
                <span className="row">
                  <Button
                    small
                    kind="plain"
                    aria-label={`Download ${entry.name}`}
                    onClick={() =>
                      act(async () =>
                        isDirectory(entry)
                          ? save(await packDirectory(guest, entry.path), `${entry.name}.tar.gz`)
                          : save(await readFile(guest, entry.path), entry.name),
                      )
                    }
                  >
                    Download
                  </Button>
                  <Button
                    small
                    kind="plain"
                    className="wide"
                    aria-label={`Rename ${entry.name}`}
                    onClick={() => setAsking({ what: "rename", entry })}
                  >
                    Rename
                  </Button>
                  <Button
                    small
                    kind="plain"
                    aria-label={`Delete ${entry.name}`}
                    onClick={() => setAsking({ what: "remove", entry })}
                  >
                    Delete
                  </Button>
                </span>
              ),
            },
          ]}
        />
      )}
      {asking !== null && (
        <Ask
          asking={asking}
          guest={guest}
          directory={directory}
          taken={new Set(list.data?.map((entry) => entry.name))}
          onClose={() => setAsking(null)}
          onDone={refresh}
          onFile={setOpened}
        />
      )}
    </section>
  );
}

function PathField({ path, onChange }: { path: string; onChange: (path: string) => void }) {
  const [typed, setTyped] = useState(path);
  const [shown, setShown] = useState(path);
  if (shown !== path) {
    setShown(path);
    setTyped(path);
  }
  const go = (event: FormEvent) => {
    event.preventDefault();
    onChange(typed.startsWith("/") ? typed.replace(/\/+$/, "") || "/" : joined(path, typed));
  };
  return (
    <form className="row grow path" onSubmit={go}>
      <Button
        small
        disabled={path === "/"}
        aria-label="Up, to the parent folder"
        onClick={() => onChange(parentOf(path))}
      >
        Up
      </Button>
      <input
        className="mono grow"
        aria-label="Folder"
        data-search=""
        value={typed}
        spellCheck={false}
        onChange={(event) => setTyped(event.target.value)}
      />
    </form>
  );
}

interface AskProps {
  asking: Asking;
  guest: Guest;
  directory: string;
  /** Names in the directory. */
  taken: ReadonlySet<string>;
  onClose: () => void;
  onDone: () => Promise<unknown>;
  onFile: (path: string) => void;
}

function Ask({ asking, guest, directory, taken, onClose, onDone, onFile }: AskProps) {
  const [name, setName] = useState(asking.what === "rename" ? asking.entry.name : "");
  if (asking.what === "remove") {
    const { entry } = asking;
    return (
      <Confirm
        title={`Delete ${entry.name}?`}
        action={`Delete ${entry.name}`}
        onClose={onClose}
        onConfirm={async () => {
          await remove(guest, entry.path);
          await onDone();
        }}
      >
        <p>{isDirectory(entry) ? "With all that is in it. " : ""}It cannot be brought back.</p>
      </Confirm>
    );
  }
  const title = { folder: "New folder", file: "New file", rename: "Rename" }[asking.what];
  return (
    <Dialog
      title={title}
      narrow
      submit={asking.what === "rename" ? "Rename" : "Create"}
      onClose={onClose}
      onSubmit={async () => {
        const path = joined(directory, name);
        if (taken.has(name)) throw new Error(`There is ${name} in ${directory} already. Choose another name.`);
        if (asking.what === "folder") await makeDirectory(guest, path);
        else if (asking.what === "rename") await move(guest, asking.entry.path, path);
        else await writeFile(guest, path, new Blob([]));
        await onDone();
        if (asking.what === "file") onFile(path);
      }}
    >
      <Field
        label="Name"
        required
        value={name}
        onChange={(event) => setName(event.target.value)}
        hint={`In ${directory}`}
      />
    </Dialog>
  );
}

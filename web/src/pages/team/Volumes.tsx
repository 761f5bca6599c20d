import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button, Copy, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { mebibytes } from "../../ui/format";
import { Empty } from "../../ui/notes";
import { List } from "../../ui/table";

type Volume = Schemas["Volume"];

export function VolumesPage() {
  const { team, may } = useSession();
  const [creating, setCreating] = useState(false);
  const [deleting, setDeleting] = useState<Volume | null>(null);
  const queries = useQueryClient();
  return (
    <Page
      title="Volumes"
      actions={
        may("volume:write") && (
          <Button kind="primary" data-create="" onClick={() => setCreating(true)}>
            Create volume
          </Button>
        )
      }
    >
      <List
        label="Volumes"
        queryKey={["volumes", team.teamID, "list"]}
        load={async () => ({ items: await ok(api.GET("/volumes")), next: "" })}
        keyOf={(volume) => volume.volumeID}
        empty={
          <Empty title="No volumes">
            <p>A volume outlives sandboxes, and several can mount it at once.</p>
          </Empty>
        }
        columns={[
          { title: "Name", cell: (volume) => <span className="mono">{volume.name}</span> },
          { title: "ID", wide: true, cell: (volume) => <Copy text={volume.volumeID} what="the volume's ID" /> },
          {
            title: "Holds",
            numeric: true,
            cell: (volume) => (volume.maxSizeMiB === null ? "no limit" : mebibytes(volume.maxSizeMiB)),
          },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (volume) =>
              may("volume:write") && (
                <Button small kind="plain" aria-label={`Delete ${volume.name}`} onClick={() => setDeleting(volume)}>
                  Delete
                </Button>
              ),
          },
        ]}
      />
      {creating && <CreateVolume onClose={() => setCreating(false)} />}
      {deleting !== null && (
        <Confirm
          title={`Delete ${deleting.name}?`}
          action="Delete"
          typed={deleting.name}
          onClose={() => setDeleting(null)}
          onConfirm={async () => {
            await ok(api.DELETE("/volumes/{volumeID}", { params: { path: { volumeID: deleting.volumeID } } }));
            await queries.invalidateQueries({ queryKey: ["volumes"] });
          }}
        >
          <p>All that is in it is lost.</p>
        </Confirm>
      )}
    </Page>
  );
}

function CreateVolume({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [size, setSize] = useState("");
  const queries = useQueryClient();
  return (
    <Dialog
      title="Create volume"
      narrow
      submit="Create"
      onClose={onClose}
      onSubmit={async () => {
        await ok(api.POST("/volumes", { body: { name, maxSizeMiB: size === "" ? undefined : Number(size) } }));
        await queries.invalidateQueries({ queryKey: ["volumes"] });
      }}
    >
      <Field label="Name" required value={name} onChange={(event) => setName(event.target.value)} />
      <Field
        label="Holds, MiB"
        type="number"
        min={1}
        value={size}
        onChange={(event) => setSize(event.target.value)}
        hint="Left empty, as much as this installation gives a volume."
      />
    </Dialog>
  );
}

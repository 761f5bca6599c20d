import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, ok, type Page as PageOf, page, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button, Copy } from "../../ui/controls";
import { Confirm } from "../../ui/dialog";
import { Empty } from "../../ui/notes";
import { List } from "../../ui/table";
import { CreateSandbox } from "../sandboxes/Create";

type SnapshotInfo = Schemas["SnapshotInfo"];

export function SnapshotsPage() {
  return (
    <Page title="Snapshots">
      <SnapshotList
        queryKey={["all"]}
        load={(nextToken) => page(api.GET("/snapshots", { params: { query: { nextToken, limit: 50 } } }))}
        empty="Open a sandbox and take one: sandboxes are made from it as from a template, with its memory, disk and processes."
      />
    </Page>
  );
}

interface SnapshotListProps {
  queryKey: unknown[];
  load: (nextToken: string | undefined) => Promise<PageOf<SnapshotInfo>>;
  empty: string;
}

/** Snapshots, with what can be done with each. */
export function SnapshotList({ queryKey, load, empty }: SnapshotListProps) {
  const { may, team } = useSession();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [creating, setCreating] = useState<string | null>(null);
  const [deleting, setDeleting] = useState<string | null>(null);
  return (
    <>
      <List
        label="Snapshots"
        queryKey={["snapshots", team.teamID, ...queryKey]}
        load={load}
        keyOf={(snapshot) => snapshot.snapshotID}
        empty={
          <Empty title="No snapshots">
            <p>{empty}</p>
          </Empty>
        }
        columns={[
          { title: "Snapshot", cell: (snapshot) => <Copy text={snapshot.snapshotID} what="the snapshot's name" /> },
          {
            title: "Names",
            wide: true,
            cell: (snapshot) => (
              <span className="chips">
                {snapshot.names.map((name) => (
                  <span key={name} className="chip mono">
                    {name}
                  </span>
                ))}
              </span>
            ),
          },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (snapshot) => (
              <span className="row">
                {may("sandbox:write") && (
                  <Button small onClick={() => setCreating(snapshot.snapshotID)}>
                    Create sandbox
                  </Button>
                )}
                {may("template:write") && (
                  <Button small kind="plain" onClick={() => setDeleting(snapshot.snapshotID)}>
                    Delete
                  </Button>
                )}
              </span>
            ),
          },
        ]}
      />
      {creating !== null && (
        <CreateSandbox
          template={creating}
          onClose={() => setCreating(null)}
          onCreated={(sandboxID) => navigate({ to: "/app/sandboxes/$sandboxID", params: { sandboxID } })}
        />
      )}
      {deleting !== null && (
        <Confirm
          title="Delete the snapshot?"
          action="Delete"
          typed={deleting}
          onClose={() => setDeleting(null)}
          onConfirm={async () => {
            await ok(
              api.DELETE("/templates/{templateID}", {
                params: { path: { templateID: deleting.replace(/:[^:/]*$/, "") } },
              }),
            );
            await queries.invalidateQueries({ queryKey: ["snapshots"] });
          }}
        >
          <p>With all its tags. Sandboxes that were made from it go on. No more can be made from it.</p>
        </Confirm>
      )}
    </>
  );
}

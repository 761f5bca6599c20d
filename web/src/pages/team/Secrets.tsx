import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok, page, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Area, Button, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { Ago } from "../../ui/format";
import { Empty } from "../../ui/notes";
import { List } from "../../ui/table";

type Secret = Schemas["Secret"];

export function SecretsPage() {
  const { team, may } = useSession();
  const [writing, setWriting] = useState<Secret | "new" | null>(null);
  const [deleting, setDeleting] = useState<Secret | null>(null);
  const queries = useQueryClient();
  return (
    <Page
      title="Secrets"
      actions={
        may("secret:write") && (
          <Button kind="primary" data-create="" onClick={() => setWriting("new")}>
            Create secret
          </Button>
        )
      }
    >
      <List
        label="Secrets"
        queryKey={["secrets", team.teamID]}
        load={(nextToken) => page(api.GET("/secrets", { params: { query: { nextToken, limit: 50 } } }))}
        keyOf={(secret) => secret.secretID}
        empty={
          <Empty title="No secrets">
            <p>
              A secret is put by the host into requests that a sandbox sends. The sandbox uses it and never sees it.
            </p>
          </Empty>
        }
        columns={[
          { title: "Name", cell: (secret) => <span className="mono">{secret.name}</span> },
          { title: "Version", numeric: true, cell: (secret) => secret.currentVersion },
          { title: "Made", wide: true, cell: (secret) => <Ago time={secret.createdAt} /> },
          { title: "Changed", cell: (secret) => <Ago time={secret.updatedAt} /> },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (secret) =>
              may("secret:write") && (
                <span className="row">
                  <Button small kind="plain" aria-label={`Replace ${secret.name}`} onClick={() => setWriting(secret)}>
                    Replace
                  </Button>
                  <Button small kind="plain" aria-label={`Delete ${secret.name}`} onClick={() => setDeleting(secret)}>
                    Delete
                  </Button>
                </span>
              ),
          },
        ]}
      />
      {writing !== null && <WriteSecret secret={writing} onClose={() => setWriting(null)} />}
      {deleting !== null && (
        <Confirm
          title={`Delete ${deleting.name}?`}
          action="Delete"
          typed={deleting.name}
          onClose={() => setDeleting(null)}
          onConfirm={async () => {
            await ok(api.DELETE("/secrets/{secretID}", { params: { path: { secretID: deleting.secretID } } }));
            await queries.invalidateQueries({ queryKey: ["secrets"] });
          }}
        >
          <p>Requests of sandboxes that refer to it fail from then on.</p>
        </Confirm>
      )}
    </Page>
  );
}

function WriteSecret({ secret, onClose }: { secret: Secret | "new"; onClose: () => void }) {
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const queries = useQueryClient();
  const isNew = secret === "new";
  return (
    <Dialog
      title={isNew ? "Create secret" : `Replace ${secret.name}`}
      narrow
      submit={isNew ? "Create" : "Replace"}
      onClose={onClose}
      onSubmit={async () => {
        if (isNew) await ok(api.POST("/secrets", { body: { name, value } }));
        else {
          await ok(
            api.POST("/secrets/{secretID}", { params: { path: { secretID: secret.secretID } }, body: { value } }),
          );
        }
        await queries.invalidateQueries({ queryKey: ["secrets"] });
      }}
    >
      {isNew && <Field label="Name" required value={name} onChange={(event) => setName(event.target.value)} />}
      <Area label="Value" mono rows={4} value={value} onChange={setValue} hint="It is not shown again." />
    </Dialog>
  );
}

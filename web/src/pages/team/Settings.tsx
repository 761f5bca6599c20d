import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button, Copy, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { useTell } from "../../ui/notes";

export function TeamSettingsPage() {
  const { team, may, chooseTeam } = useSession();
  const [asking, setAsking] = useState<"rename" | "rotate" | "delete" | "create" | null>(null);
  const queries = useQueryClient();
  const tell = useTell();
  const path = { teamID: team.teamID };
  const close = () => setAsking(null);
  const refresh = () => queries.invalidateQueries({ queryKey: ["session"] });
  return (
    <Page title="Team" actions={<Button onClick={() => setAsking("create")}>Create another team</Button>}>
      <section className="panel">
        <div className="body">
          <dl className="facts">
            <dt>Name</dt>
            <dd>{team.name}</dd>
            <dt>ID</dt>
            <dd>
              <Copy text={team.teamID} what="the team's ID" />
            </dd>
            <dt>Your role</dt>
            <dd>{team.role}</dd>
          </dl>
        </div>
      </section>
      {may("team:write") && (
        <section className="panel">
          <div className="body row">
            <Button onClick={() => setAsking("rename")}>Rename</Button>
            <Button kind="danger" onClick={() => setAsking("rotate")}>
              Revoke the tokens of all sandboxes
            </Button>
            {may("team:delete") && (
              <Button kind="danger" onClick={() => setAsking("delete")}>
                Delete the team
              </Button>
            )}
          </div>
        </section>
      )}
      {asking === "rename" && (
        <NameDialog
          title="Rename the team"
          submit="Rename"
          name={team.name}
          onClose={close}
          onSubmit={async (name) => {
            await ok(api.PATCH("/teams/{teamID}", { params: { path }, body: { name } }));
            await refresh();
          }}
        />
      )}
      {asking === "create" && (
        <NameDialog
          title="Create a team"
          submit="Create"
          name=""
          onClose={close}
          onSubmit={async (name) => {
            const made = await ok(api.POST("/teams", { body: { name } }));
            await refresh();
            chooseTeam(made.teamID);
          }}
        />
      )}
      {asking === "rotate" && (
        <Confirm
          title="Revoke the tokens of all sandboxes and volumes?"
          action="Revoke"
          typed={team.name}
          onClose={close}
          onConfirm={async () => {
            await ok(api.POST("/teams/{teamID}/tokens/rotate", { params: { path } }));
            await queries.invalidateQueries({ queryKey: ["sandboxes"] });
            tell({ text: "Clients have to ask for new tokens." });
          }}
        >
          <p>Clients that are connected, and signed URLs of files, are refused from the next request on.</p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm
          title={`Delete ${team.name}?`}
          action="Delete the team"
          typed={team.name}
          onClose={close}
          onConfirm={async () => {
            await ok(api.DELETE("/teams/{teamID}", { params: { path } }));
            await refresh();
          }}
        >
          <p>
            With its sandboxes, templates, snapshots, volumes, secrets, keys and channels. Nothing can be brought back.
          </p>
        </Confirm>
      )}
    </Page>
  );
}

interface NameDialogProps {
  title: string;
  submit: string;
  name: string;
  onClose: () => void;
  onSubmit: (name: string) => Promise<void>;
}

export function NameDialog({ title, submit, name: given, onClose, onSubmit }: NameDialogProps) {
  const [name, setName] = useState(given);
  return (
    <Dialog title={title} narrow submit={submit} onClose={onClose} onSubmit={() => onSubmit(name)}>
      <Field label="Name" required value={name} onChange={(event) => setName(event.target.value)} />
    </Dialog>
  );
}

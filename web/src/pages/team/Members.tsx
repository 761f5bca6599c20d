import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button, Choice, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { Ago } from "../../ui/format";
import { Empty, useAct, useTell } from "../../ui/notes";
import { List, Table } from "../../ui/table";

type Role = Schemas["Role"];
type Member = Schemas["Member"];

const roles: [Role, string][] = [
  ["owner", "Owner: everything, and deletes the team"],
  ["admin", "Admin: members, channels, audit log, limits"],
  ["member", "Member: sandboxes, templates, keys"],
  ["viewer", "Viewer: only watches"],
];

export function MembersPage() {
  const { team, may, me } = useSession();
  const [inviting, setInviting] = useState(false);
  const [removing, setRemoving] = useState<Member | null>(null);
  const queries = useQueryClient();
  const act = useAct();
  const path = { teamID: team.teamID };
  const refresh = () => queries.invalidateQueries({ queryKey: ["members"] });
  const mayWrite = may("member:write");
  const setRole = (member: Member, role: Role) =>
    act(async () => {
      await ok(
        api.PATCH("/teams/{teamID}/members/{userID}", {
          params: { path: { ...path, userID: member.id } },
          body: { role },
        }),
      );
      await refresh();
    }, `${member.name} is ${role} of ${team.name}.`);
  return (
    <Page
      title="Members"
      actions={
        mayWrite && (
          <Button kind="primary" data-create="" onClick={() => setInviting(true)}>
            Invite
          </Button>
        )
      }
    >
      <List
        label="Members"
        queryKey={["members", team.teamID]}
        load={async () => ({ items: await ok(api.GET("/teams/{teamID}/members", { params: { path } })), next: "" })}
        keyOf={(member) => member.id}
        empty={<Empty title="No members" />}
        columns={[
          {
            title: "Name",
            cell: (member) => (
              <>
                {member.name}
                {member.id === me.id && <span className="muted"> (you)</span>}
              </>
            ),
          },
          { title: "E-mail address", cell: (member) => <span className="ellipsis">{member.email}</span> },
          {
            title: "Role",
            cell: (member) =>
              mayWrite ? (
                <Choice
                  label={`Role of ${member.name}`}
                  bare
                  value={member.role}
                  options={roles.map(([role]) => [role, role])}
                  onChange={(role) => void setRole(member, role as Role)}
                />
              ) : (
                member.role
              ),
          },
          { title: "Second factor", wide: true, cell: (member) => (member.secondFactor ? "on" : "off") },
          { title: "Since", wide: true, cell: (member) => <Ago time={member.joinedAt} /> },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (member) =>
              (mayWrite || member.id === me.id) && (
                <Button small kind="plain" onClick={() => setRemoving(member)}>
                  {member.id === me.id ? "Leave" : "Remove"}
                </Button>
              ),
          },
        ]}
      />
      {mayWrite && <Invitations />}
      {inviting && <Invite onClose={() => setInviting(false)} />}
      {removing !== null && (
        <Confirm
          title={removing.id === me.id ? `Leave ${team.name}?` : `Remove ${removing.name}?`}
          action={removing.id === me.id ? "Leave" : `Remove ${removing.name}`}
          typed={removing.email}
          onClose={() => setRemoving(null)}
          onConfirm={async () => {
            await ok(
              api.DELETE("/teams/{teamID}/members/{userID}", { params: { path: { ...path, userID: removing.id } } }),
            );
            await queries.invalidateQueries({ queryKey: [removing.id === me.id ? "session" : "members"] });
          }}
        >
          <p>The keys that this person has made for the team are revoked, and so are the tokens of its sandboxes.</p>
        </Confirm>
      )}
    </Page>
  );
}

function Invitations() {
  const { team } = useSession();
  const queries = useQueryClient();
  const act = useAct();
  const path = { teamID: team.teamID };
  const invitations = useQuery({
    queryKey: ["members", team.teamID, "invitations"],
    queryFn: () => ok(api.GET("/teams/{teamID}/invitations", { params: { path } })),
  });
  if ((invitations.data ?? []).length === 0) return null;
  return (
    <section className="panel">
      <header>
        <h2>Invitations</h2>
      </header>
      <Table
        label="Invitations"
        items={invitations.data ?? []}
        keyOf={(invitation) => invitation.id}
        columns={[
          { title: "E-mail address", cell: (invitation) => invitation.email },
          { title: "Role", cell: (invitation) => invitation.role },
          { title: "Ends", wide: true, cell: (invitation) => <Ago time={invitation.expiresAt} /> },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (invitation) => (
              <Button
                small
                kind="plain"
                onClick={() =>
                  act(async () => {
                    await ok(
                      api.DELETE("/teams/{teamID}/invitations/{invitationID}", {
                        params: { path: { ...path, invitationID: invitation.id } },
                      }),
                    );
                    await queries.invalidateQueries({ queryKey: ["members"] });
                  }, `The invitation of ${invitation.email} is revoked.`)
                }
              >
                Revoke
              </Button>
            ),
          },
        ]}
      />
    </section>
  );
}

function Invite({ onClose }: { onClose: () => void }) {
  const { team } = useSession();
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("member");
  const queries = useQueryClient();
  const tell = useTell();
  return (
    <Dialog
      title={`Invite to ${team.name}`}
      narrow
      submit="Invite"
      onClose={onClose}
      onSubmit={async () => {
        await ok(
          api.POST("/teams/{teamID}/invitations", { params: { path: { teamID: team.teamID } }, body: { email, role } }),
        );
        await queries.invalidateQueries({ queryKey: ["members"] });
        tell({ text: `A mail with a link is on its way to ${email}.` });
      }}
    >
      <Field
        label="E-mail address"
        type="email"
        required
        value={email}
        onChange={(event) => setEmail(event.target.value)}
        hint="Without a mail server the mail is among the messages that wrenn up shows."
      />
      <Choice label="Role" value={role} options={roles} onChange={(value) => setRole(value as Role)} />
    </Dialog>
  );
}

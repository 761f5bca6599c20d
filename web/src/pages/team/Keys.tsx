import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button, Check, Choice, Copy, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { Ago } from "../../ui/format";
import { Empty } from "../../ui/notes";
import { List } from "../../ui/table";

type Key = Schemas["TeamAPIKey"];

export const lifetimes: [string, string][] = [
  ["", "Never"],
  ["7", "In 7 days"],
  ["30", "In 30 days"],
  ["90", "In 90 days"],
  ["365", "In a year"],
];

export function expiry(days: string): string | null {
  return days === "" ? null : new Date(Date.now() + Number(days) * 86_400_000).toISOString();
}

/** What a key is shown as: its beginning and its end. */
export function masked(mask: Schemas["IdentifierMaskingDetails"]): string {
  return `${mask.prefix}${mask.maskedValuePrefix}…${mask.maskedValueSuffix}`;
}

export function KeysPage() {
  const { team, may } = useSession();
  const [creating, setCreating] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<Key | null>(null);
  const queries = useQueryClient();
  return (
    <Page
      title="API keys"
      actions={
        may("key:write") && (
          <Button kind="primary" data-create="" onClick={() => setCreating(true)}>
            Create key
          </Button>
        )
      }
    >
      <List
        label="API keys"
        queryKey={["keys", team.teamID]}
        load={async () => ({ items: await ok(api.GET("/api-keys")), next: "" })}
        keyOf={(key) => key.id}
        empty={
          <Empty title="No keys">
            <p>A key lets a program, such as one with E2B's SDK, act for the team.</p>
          </Empty>
        }
        columns={[
          { title: "Name", cell: (key) => key.name },
          { title: "Key", cell: (key) => <span className="mono">{masked(key.mask)}</span> },
          {
            title: "May",
            wide: true,
            cell: (key) =>
              key.scopes === undefined ? (
                "all that keys may"
              ) : (
                <span className="chips">
                  {key.scopes.map((scope) => (
                    <span key={scope} className="chip mono">
                      {scope}
                    </span>
                  ))}
                </span>
              ),
          },
          { title: "Made by", wide: true, cell: (key) => key.createdBy?.email ?? "" },
          { title: "Last used", wide: true, cell: (key) => <Ago time={key.lastUsed} /> },
          { title: "Ends", cell: (key) => <Ago time={key.expiresAt} /> },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (key) =>
              may("key:write") && (
                <Button small kind="plain" aria-label={`Revoke ${key.name}`} onClick={() => setRevoking(key)}>
                  Revoke
                </Button>
              ),
          },
        ]}
      />
      {creating && <CreateKey onClose={() => setCreating(false)} onMade={setMade} />}
      {made !== null && <ShowSecret title="The key" secret={made} onClose={() => setMade(null)} />}
      {revoking !== null && (
        <Confirm
          title={`Revoke ${revoking.name}?`}
          action="Revoke"
          typed={revoking.name}
          onClose={() => setRevoking(null)}
          onConfirm={async () => {
            await ok(api.DELETE("/api-keys/{apiKeyID}", { params: { path: { apiKeyID: revoking.id } } }));
            await queries.invalidateQueries({ queryKey: ["keys"] });
          }}
        >
          <p>Programs that use it are refused from the next request on.</p>
        </Confirm>
      )}
    </Page>
  );
}

/** Shows a secret that the server does not show again. */
export function ShowSecret({ title, secret, onClose }: { title: string; secret: string; onClose: () => void }) {
  return (
    <Dialog title={title} narrow onClose={onClose}>
      <p>Keep it now: it is not shown again.</p>
      <Copy text={secret} what="it" />
    </Dialog>
  );
}

/** The permissions that keys can have. */
const scopes = [
  "sandbox:read",
  "sandbox:write",
  "template:read",
  "template:write",
  "volume:read",
  "volume:write",
  "secret:read",
  "secret:write",
  "usage:read",
  "event:read",
  "channel:read",
  "channel:write",
  "audit:read",
];

function CreateKey({ onClose, onMade }: { onClose: () => void; onMade: (key: string) => void }) {
  const { may } = useSession();
  const [name, setName] = useState("");
  const [days, setDays] = useState("");
  const [limited, setLimited] = useState(false);
  const [chosen, setChosen] = useState<string[]>(["sandbox:read", "sandbox:write", "template:read"]);
  const queries = useQueryClient();
  return (
    <Dialog
      title="Create key"
      submit="Create"
      onClose={onClose}
      blocked={limited && chosen.length === 0}
      onSubmit={async () => {
        const made = await ok(
          api.POST("/api-keys", {
            body: { name, scopes: limited ? chosen : undefined, expiresAt: expiry(days) },
          }),
        );
        await queries.invalidateQueries({ queryKey: ["keys"] });
        onMade(made.key);
      }}
    >
      <div className="columns">
        <Field label="Name" required value={name} onChange={(event) => setName(event.target.value)} />
        <Choice label="Ends" value={days} options={lifetimes} onChange={setDays} />
      </div>
      <Check checked={limited} onChange={setLimited}>
        It may only do some things
      </Check>
      {limited && (
        <fieldset className="columns plain-group">
          <legend className="hidden-text">What it may do</legend>
          {scopes.filter(may).map((scope) => (
            <Check
              key={scope}
              checked={chosen.includes(scope)}
              onChange={(on) => setChosen(on ? [...chosen, scope] : chosen.filter((one) => one !== scope))}
            >
              <span className="mono">{scope}</span>
            </Check>
          ))}
        </fieldset>
      )}
    </Dialog>
  );
}

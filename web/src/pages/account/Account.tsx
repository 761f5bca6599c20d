import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, credentials, ok, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button, Choice, Copy, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { Ago } from "../../ui/format";
import { Empty, useAct, useTell } from "../../ui/notes";
import { Table } from "../../ui/table";
import { NewPassword } from "../entry";
import { expiry, lifetimes, masked, ShowSecret } from "../team/Keys";
import { NameDialog } from "../team/Settings";

type Asking = "name" | "password" | "factor" | "recovery" | "off" | "token" | null;

export function AccountPage() {
  const { me } = useSession();
  const [asking, setAsking] = useState<Asking>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const [token, setToken] = useState<string | null>(null);
  const queries = useQueryClient();
  const close = () => setAsking(null);
  const refresh = () => queries.invalidateQueries({ queryKey: ["session"] });
  return (
    <Page title="Your account">
      <section className="panel">
        <div className="body stack">
          <dl className="facts">
            <dt>Name</dt>
            <dd>{me.name}</dd>
            <dt>E-mail address</dt>
            <dd>{me.email}</dd>
            <dt>Password</dt>
            <dd>{me.hasPassword ? "set" : "none"}</dd>
            <dt>Second factor</dt>
            <dd>{me.secondFactor ? "on" : "off"}</dd>
            <dt>Admin of the installation</dt>
            <dd>{me.platformAdmin ? "yes" : "no"}</dd>
          </dl>
          <div className="row">
            <Button onClick={() => setAsking("name")}>Rename</Button>
            {me.hasPassword && <Button onClick={() => setAsking("password")}>Change the password</Button>}
            {me.secondFactor ? (
              <>
                <Button onClick={() => setAsking("recovery")}>New recovery codes</Button>
                <Button kind="danger" onClick={() => setAsking("off")}>
                  Turn the second factor off
                </Button>
              </>
            ) : (
              <Button onClick={() => setAsking("factor")}>Turn a second factor on</Button>
            )}
          </div>
        </div>
      </section>
      <AccessTokens onCreate={() => setAsking("token")} />
      {asking === "name" && (
        <NameDialog
          title="Your name"
          submit="Rename"
          name={me.name}
          onClose={close}
          onSubmit={async (name) => {
            await ok(api.PATCH("/me", { body: { name } }));
            await refresh();
          }}
        />
      )}
      {asking === "password" && <ChangePassword onClose={close} />}
      {asking === "factor" && <SecondFactor onClose={close} onCodes={setCodes} />}
      {asking === "recovery" && (
        <CodeDialog
          title="New recovery codes"
          submit="Make them"
          onClose={close}
          onSubmit={async (code) => {
            setCodes((await ok(api.POST("/auth/totp/recovery-codes", { body: { code } }))).recoveryCodes);
          }}
        />
      )}
      {asking === "off" && (
        <CodeDialog
          title="Turn the second factor off"
          submit="Turn off"
          onClose={close}
          onSubmit={async (code) => {
            await ok(api.POST("/auth/totp/remove", { body: { code } }));
            await refresh();
          }}
        />
      )}
      {asking === "token" && <CreateToken onClose={close} onMade={setToken} />}
      {codes !== null && (
        <Dialog title="Recovery codes" narrow onClose={() => setCodes(null)}>
          <p>Each stands in for a code of your authenticator, once. Keep them now: they are not shown again.</p>
          <pre>{codes.join("\n")}</pre>
          <Copy text={codes.join("\n")} shown={`${codes.length} codes`} what="the codes" />
        </Dialog>
      )}
      {token !== null && <ShowSecret title="The access token" secret={token} onClose={() => setToken(null)} />}
    </Page>
  );
}

function ChangePassword({ onClose }: { onClose: () => void }) {
  const [currentPassword, setCurrent] = useState("");
  const [newPassword, setNew] = useState("");
  const tell = useTell();
  return (
    <Dialog
      title="Change the password"
      narrow
      submit="Change"
      onClose={onClose}
      onSubmit={async () => {
        const answer = await ok(api.POST("/auth/password/change", { body: { currentPassword, newPassword } }));
        credentials.csrf = answer.csrfToken ?? credentials.csrf;
        tell({ text: "The password is changed; your other sessions have ended." });
      }}
    >
      <Field
        label="Password until now"
        type="password"
        autoComplete="current-password"
        required
        value={currentPassword}
        onChange={(event) => setCurrent(event.target.value)}
      />
      <NewPassword label="New password" value={newPassword} onChange={setNew} />
    </Dialog>
  );
}

function SecondFactor({ onClose, onCodes }: { onClose: () => void; onCodes: (codes: string[]) => void }) {
  const [code, setCode] = useState("");
  const queries = useQueryClient();
  const enrolment = useQuery({
    queryKey: ["enrolment"],
    queryFn: () => ok(api.POST("/auth/totp/enrol")),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
  });
  return (
    <Dialog
      title="Turn a second factor on"
      narrow
      submit="Turn on"
      blocked={enrolment.data === undefined}
      onClose={onClose}
      onSubmit={async () => {
        const { recoveryCodes } = await ok(api.POST("/auth/totp/confirm", { body: { code: code.trim() } }));
        await queries.invalidateQueries({ queryKey: ["session"] });
        onCodes(recoveryCodes);
      }}
    >
      <p>Add this to your authenticator app, and type the code that it shows.</p>
      {enrolment.data !== undefined && (
        <>
          <Copy text={enrolment.data.secret} what="the secret" />
          <a href={enrolment.data.url}>Open the authenticator of this device</a>
        </>
      )}
      <Field
        label="Code"
        required
        autoComplete="one-time-code"
        inputMode="numeric"
        value={code}
        onChange={(event) => setCode(event.target.value)}
      />
    </Dialog>
  );
}

interface CodeDialogProps {
  title: string;
  submit: string;
  onClose: () => void;
  onSubmit: (code: string) => Promise<void>;
}

function CodeDialog({ title, submit, onClose, onSubmit }: CodeDialogProps) {
  const [code, setCode] = useState("");
  return (
    <Dialog title={title} narrow submit={submit} onClose={onClose} onSubmit={() => onSubmit(code.trim())}>
      <Field
        label="Code"
        required
        autoComplete="one-time-code"
        hint="Of your authenticator, or a recovery code."
        value={code}
        onChange={(event) => setCode(event.target.value)}
      />
    </Dialog>
  );
}

function AccessTokens({ onCreate }: { onCreate: () => void }) {
  const queries = useQueryClient();
  const act = useAct();
  const [revoking, setRevoking] = useState<Schemas["AccessToken"] | null>(null);
  const tokens = useQuery({ queryKey: ["tokens"], queryFn: () => ok(api.GET("/access-tokens")) });
  return (
    <section className="panel">
      <header>
        <h2 className="grow">Access tokens</h2>
        <Button small onClick={onCreate}>
          Create token
        </Button>
      </header>
      {(tokens.data ?? []).length === 0 ? (
        <Empty title="No access tokens">
          <p>With one a program acts as you, in each of your teams. Give programs of a team a key instead.</p>
        </Empty>
      ) : (
        <Table
          label="Access tokens"
          items={tokens.data ?? []}
          keyOf={(token) => token.id}
          columns={[
            { title: "Name", cell: (token) => token.name },
            { title: "Token", cell: (token) => <span className="mono">{masked(token.mask)}</span> },
            { title: "Last used", wide: true, cell: (token) => <Ago time={token.lastUsed} /> },
            { title: "Ends", cell: (token) => <Ago time={token.expiresAt} /> },
            {
              title: <span className="hidden-text">Actions</span>,
              tight: true,
              cell: (token) => (
                <Button small kind="plain" aria-label={`Revoke ${token.name}`} onClick={() => setRevoking(token)}>
                  Revoke
                </Button>
              ),
            },
          ]}
        />
      )}
      {revoking !== null && (
        <Confirm
          title={`Revoke ${revoking.name}?`}
          action="Revoke"
          onClose={() => setRevoking(null)}
          onConfirm={() =>
            act(async () => {
              await ok(
                api.DELETE("/access-tokens/{accessTokenID}", { params: { path: { accessTokenID: revoking.id } } }),
              );
              await queries.invalidateQueries({ queryKey: ["tokens"] });
            })
          }
        >
          <p>Programs that use it are refused from the next request on.</p>
        </Confirm>
      )}
    </section>
  );
}

function CreateToken({ onClose, onMade }: { onClose: () => void; onMade: (token: string) => void }) {
  const [name, setName] = useState("");
  const [days, setDays] = useState("90");
  const queries = useQueryClient();
  return (
    <Dialog
      title="Create an access token"
      narrow
      submit="Create"
      onClose={onClose}
      onSubmit={async () => {
        const made = await ok(api.POST("/access-tokens", { body: { name, expiresAt: expiry(days) } }));
        await queries.invalidateQueries({ queryKey: ["tokens"] });
        onMade(made.token);
      }}
    >
      <Field label="Name" required value={name} onChange={(event) => setName(event.target.value)} />
      <Choice label="Ends" value={days} options={lifetimes} onChange={setDays} />
    </Dialog>
  );
}

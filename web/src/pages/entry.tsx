import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { APIError, api, credentials, ok, type Schemas } from "../api/client";
import { useMe } from "../app/session";
import { Button, Field } from "../ui/controls";
import { ErrorNote, Loading } from "../ui/notes";

const shortestPassword = 10;

/** A page for people who are not signed in: one form in the middle. */
export function Entry({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Wrenn`;
  }, [title]);
  return (
    <main className="entry">
      <div className="card">
        <span className="brand">
          <img src="/app/icon.svg" alt="" />
          Wrenn
        </span>
        <section className="panel">
          <div className="body">
            <h1>{title}</h1>
            {children}
          </div>
        </section>
      </div>
    </main>
  );
}

/** The token in the page's address, behind the #, which browsers send to no server. */
export function fragment(name: string): string {
  return new URLSearchParams(location.hash.slice(1)).get(name) ?? "";
}

/** Returns a function that goes on after a sign-in: to the second factor, or inside. */
export function useSignedIn(): (answer: Schemas["SignedIn"]) => Promise<void> {
  const navigate = useNavigate();
  const queries = useQueryClient();
  return async (answer) => {
    if (answer.secondFactor) {
      await navigate({ to: "/second-factor", hash: `challenge=${answer.challenge ?? ""}` });
      return;
    }
    credentials.csrf = answer.csrfToken ?? "";
    queries.clear();
    const wanted = sessionStorage.getItem("wrenn.wanted");
    sessionStorage.removeItem("wrenn.wanted");
    await navigate({ to: wanted?.startsWith("/") ? wanted : "/app" });
  };
}

interface EntryFormProps {
  submit: string;
  send: () => Promise<void>;
  children: ReactNode;
}

export function EntryForm({ submit, send, children }: EntryFormProps) {
  const sending = useMutation({ mutationFn: send });
  return (
    <form
      className="stack"
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        sending.mutate();
      }}
    >
      {children}
      {sending.isError && <ErrorNote error={sending.error} />}
      <Button type="submit" kind="primary" disabled={sending.isPending}>
        {sending.isPending ? "Working…" : submit}
      </Button>
    </form>
  );
}

export function SignIn() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const signedIn = useSignedIn();
  const providers = useQuery({ queryKey: ["providers"], queryFn: () => ok(api.GET("/auth/oidc")) });
  return (
    <Entry title="Sign in">
      {providers.data?.map((provider) => (
        <a key={provider.name} className="button" href={`/auth/oidc/${encodeURIComponent(provider.name)}/start`}>
          Sign in with {provider.title}
        </a>
      ))}
      <EntryForm
        submit="Sign in"
        send={async () => signedIn(await ok(api.POST("/auth/login", { body: { email, password } })))}
      >
        <Field
          label="E-mail address"
          type="email"
          autoComplete="username"
          required
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
        <Field
          label="Password"
          type="password"
          autoComplete="current-password"
          required
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
      </EntryForm>
      <Link to="/password-forgotten">Forgot the password?</Link>
      <p className="muted">
        On the machine that runs Wrenn, <code>wrenn up</code> prints a link that signs in without a password.
      </p>
    </Entry>
  );
}

export function SecondFactor() {
  const [code, setCode] = useState("");
  const [challenge] = useState(() => fragment("challenge"));
  const signedIn = useSignedIn();
  return (
    <Entry title="Second factor">
      <EntryForm
        submit="Go on"
        send={async () => signedIn(await ok(api.POST("/auth/totp/login", { body: { challenge, code: code.trim() } })))}
      >
        <Field
          label="Code"
          hint="Six digits from your authenticator, or one of your recovery codes."
          autoComplete="one-time-code"
          required
          value={code}
          onChange={(event) => setCode(event.target.value)}
        />
      </EntryForm>
      <Link to="/sign-in">Start again</Link>
    </Entry>
  );
}

/** Signs in by a link that wrenn up has printed. */
export function LocalSignIn() {
  const [token] = useState(() => fragment("token"));
  const signedIn = useSignedIn();
  const signing = useMutation({
    mutationFn: async () => signedIn(await ok(api.POST("/auth/local", { body: { token } }))),
  });
  const { mutate } = signing;
  useEffect(() => {
    history.replaceState(history.state, "", location.pathname);
    mutate();
  }, [mutate]);
  return (
    <Entry title="Sign in on this machine">
      {signing.isError ? (
        <>
          <ErrorNote error={signing.error} />
          <p className="muted">
            Such a link works once, for a quarter of an hour. Run <code>wrenn up</code> again to get another.
          </p>
          <Link to="/sign-in">Sign in with a password</Link>
        </>
      ) : (
        <Loading />
      )}
    </Entry>
  );
}

export function FirstAdmin() {
  const [token] = useState(() => fragment("token"));
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const signedIn = useSignedIn();
  return (
    <Entry title="Make the first account">
      <p className="muted">It administers this installation and owns its first team.</p>
      <EntryForm
        submit="Make the account"
        send={async () => signedIn(await ok(api.POST("/auth/first-admin", { body: { token, email, name, password } })))}
      >
        <Field
          label="Name"
          autoComplete="name"
          required
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <Field
          label="E-mail address"
          type="email"
          autoComplete="username"
          required
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
        <NewPassword value={password} onChange={setPassword} />
      </EntryForm>
    </Entry>
  );
}

export function NewPassword({
  value,
  onChange,
  label,
}: {
  value: string;
  onChange: (value: string) => void;
  label?: string;
}) {
  return (
    <Field
      label={label ?? "Password"}
      type="password"
      hint={`At least ${shortestPassword} characters.`}
      autoComplete="new-password"
      required
      minLength={shortestPassword}
      value={value}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}

export function PasswordForgotten() {
  const [email, setEmail] = useState("");
  const [sent, setSent] = useState(false);
  return (
    <Entry title="Forgot the password">
      {sent ? (
        <p>
          If there is an account with this address, a mail with a link is on its way to it. Where this installation has
          no mail server, the mail is among the messages that <code>wrenn up</code> shows.
        </p>
      ) : (
        <EntryForm
          submit="Send a link"
          send={async () => {
            await ok(api.POST("/auth/password/reset-request", { body: { email } }));
            setSent(true);
          }}
        >
          <Field
            label="E-mail address"
            type="email"
            autoComplete="username"
            required
            value={email}
            onChange={(event) => setEmail(event.target.value)}
          />
        </EntryForm>
      )}
      <Link to="/sign-in">Back</Link>
    </Entry>
  );
}

export function PasswordReset() {
  const [token] = useState(() => fragment("token"));
  const [password, setPassword] = useState("");
  const navigate = useNavigate();
  return (
    <Entry title="Choose a new password">
      <p className="muted">It ends your sessions and revokes the access tokens and API keys that you have made.</p>
      <EntryForm
        submit="Set the password"
        send={async () => {
          await ok(api.POST("/auth/password/reset", { body: { token, password } }));
          await navigate({ to: "/sign-in" });
        }}
      >
        <NewPassword label="New password" value={password} onChange={setPassword} />
      </EntryForm>
    </Entry>
  );
}

export function Invitation() {
  const [token] = useState(() => fragment("token"));
  const offer = useQuery({
    queryKey: ["invitation", token],
    queryFn: () => ok(api.POST("/auth/invitations/show", { body: { token } })),
    retry: false,
  });
  const me = useMe();
  if (offer.isPending || me.isPending) return <Entry title="Invitation">{<Loading />}</Entry>;
  if (offer.isError) {
    return (
      <Entry title="Invitation">
        <ErrorNote error={offer.error} />
        <Link to="/sign-in">Sign in</Link>
      </Entry>
    );
  }
  const { teamName, email, role, hasAccount } = offer.data;
  return (
    <Entry title={`Join ${teamName}`}>
      <p>
        You are invited as <strong>{role}</strong>, by the address {email}.
      </p>
      {me.data !== undefined ? (
        <Accept token={token} email={me.data.email} />
      ) : hasAccount ? (
        <SignInFirst />
      ) : (
        <Register token={token} />
      )}
    </Entry>
  );
}

function Accept({ token, email }: { token: string; email: string }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  return (
    <EntryForm
      submit={`Join as ${email}`}
      send={async () => {
        await ok(api.POST("/me/invitations", { body: { token } }));
        queries.clear();
        await navigate({ to: "/app" });
      }}
    >
      {null}
    </EntryForm>
  );
}

function SignInFirst() {
  useEffect(() => {
    sessionStorage.setItem("wrenn.wanted", location.pathname + location.hash);
  }, []);
  return (
    <>
      <p>There is an account with this address: sign in, and you come back here.</p>
      <Link className="button primary" to="/sign-in">
        Sign in
      </Link>
    </>
  );
}

function Register({ token }: { token: string }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const signedIn = useSignedIn();
  return (
    <EntryForm
      submit="Make an account and join"
      send={async () => signedIn(await ok(api.POST("/auth/invitations/register", { body: { token, name, password } })))}
    >
      <Field label="Name" autoComplete="name" required value={name} onChange={(event) => setName(event.target.value)} />
      <NewPassword value={password} onChange={setPassword} />
    </EntryForm>
  );
}

/** What is shown where the session cannot be asked for. */
export function Unreachable({ error, retry }: { error: unknown; retry: () => void }) {
  return (
    <Entry title={error instanceof APIError ? "Something went wrong" : "The server cannot be reached"}>
      <ErrorNote error={error} retry={retry} />
    </Entry>
  );
}

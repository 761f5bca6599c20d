import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, ok } from "../../api/client";
import { useSession } from "../../app/session";
import { Button } from "../../ui/controls";
import { Ago, Moment, mebibytes } from "../../ui/format";
import { ErrorNote, Loading, useAct } from "../../ui/notes";
import { WithGuest } from "./guest";
import { Ports } from "./Network";
import { type SandboxDetail, useSandbox } from "./Sandbox";

export function Overview() {
  const sandbox = useSandbox().data;
  const { may } = useSession();
  if (sandbox === undefined) return <Loading />;
  return (
    <div className="stack">
      {sandbox.failure !== undefined && (
        <ErrorNote error={new Error(`It has failed and cannot be used: ${sandbox.failure}..`)} />
      )}
      {sandbox.envdUnresponsiveAtPause === true && (
        <div className="note warning">
          The guest agent did not answer when it was paused, so it boots from its disk when it is resumed.
        </div>
      )}
      <Times sandbox={sandbox} />
      <About sandbox={sandbox} />
      {sandbox.state === "running" && may("sandbox:write") && (
        <WithGuest>{(guest) => <Ports guest={guest} sandbox={sandbox} />}</WithGuest>
      )}
    </div>
  );
}

const extensions: [seconds: number, text: string][] = [
  [900, "15 min"],
  [3600, "1 h"],
  [28_800, "8 h"],
];

function Times({ sandbox }: { sandbox: SandboxDetail }) {
  const { may } = useSession();
  const act = useAct();
  const queries = useQueryClient();
  const extend = (timeout: number, text: string) =>
    act(async () => {
      await ok(
        api.POST("/sandboxes/{sandboxID}/timeout", {
          params: { path: { sandboxID: sandbox.sandboxID } },
          body: { timeout },
        }),
      );
      await queries.invalidateQueries({ queryKey: ["sandboxes"] });
    }, `It ends in ${text}.`);
  const running = sandbox.state === "running";
  const onTimeout = sandbox.lifecycle?.onTimeout ?? "kill";
  return (
    <section className="panel" aria-labelledby="times">
      <header>
        <h2 id="times">Time</h2>
      </header>
      <div className="body stack">
        <dl className="facts">
          <dt>Started</dt>
          <dd>
            <Ago time={sandbox.startedAt} />, <Moment time={sandbox.startedAt} />
          </dd>
          {running && (
            <>
              <dt>Ends</dt>
              <dd>
                <Ago time={sandbox.endAt} />, <Moment time={sandbox.endAt} />
              </dd>
            </>
          )}
          <dt>Then it is</dt>
          <dd>
            {onTimeout === "pause" ? "paused" : "killed"}
            {sandbox.lifecycle?.autoResume === true && ", and resumed when a request comes for it"}
          </dd>
        </dl>
        {running && may("sandbox:write") && (
          <div className="row">
            <span className="muted">Let it end, from now, in</span>
            {extensions.map(([seconds, text]) => (
              <Button key={seconds} small onClick={() => extend(seconds, text)}>
                {text}
              </Button>
            ))}
          </div>
        )}
      </div>
    </section>
  );
}

function About({ sandbox }: { sandbox: SandboxDetail }) {
  const metadata = Object.entries(sandbox.metadata ?? {});
  return (
    <section className="panel" aria-labelledby="about">
      <header>
        <h2 id="about">About</h2>
      </header>
      <div className="body">
        <dl className="facts">
          <dt>Template</dt>
          <dd>
            <Link to="/app/sandboxes" search={{ template: sandbox.alias ?? sandbox.templateID }}>
              {sandbox.alias ?? sandbox.templateID}
            </Link>
          </dd>
          <dt>Size</dt>
          <dd>
            {sandbox.cpuCount} CPU, {mebibytes(sandbox.memoryMB)} memory, {mebibytes(sandbox.diskSizeMB)} disk
          </dd>
          <dt>Guest agent</dt>
          <dd className="mono">{sandbox.envdVersion}</dd>
          <dt>Metadata</dt>
          <dd>
            {metadata.length === 0 ? (
              <span className="muted">none</span>
            ) : (
              <span className="chips">
                {metadata.map(([key, value]) => (
                  <span key={key} className="chip mono" title={`${key}=${value}`}>
                    {key}={value}
                  </span>
                ))}
              </span>
            )}
          </dd>
          {(sandbox.volumeMounts ?? []).length > 0 && (
            <>
              <dt>Volumes</dt>
              <dd>
                {(sandbox.volumeMounts ?? []).map((mount) => (
                  <div key={mount.path}>
                    {mount.name} at <span className="mono">{mount.path}</span>
                  </div>
                ))}
              </dd>
            </>
          )}
        </dl>
      </div>
    </section>
  );
}

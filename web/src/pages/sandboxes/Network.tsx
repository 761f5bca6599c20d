import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok } from "../../api/client";
import type { Guest } from "../../api/connect";
import { run } from "../../api/process";
import { useSession } from "../../app/session";
import { Area, Button, Check, Copy } from "../../ui/controls";
import { Empty, ErrorNote, Loading, useAct } from "../../ui/notes";
import { Table } from "../../ui/table";
import { lines } from "./Create";
import { WithGuest } from "./guest";
import { type SandboxDetail, useSandbox } from "./Sandbox";

export function NetworkPage() {
  const sandbox = useSandbox().data;
  const { may } = useSession();
  if (sandbox === undefined) return <Loading />;
  return (
    <div className="stack">
      {sandbox.state === "running" && may("sandbox:write") && (
        <WithGuest>{(guest) => <Ports guest={guest} sandbox={sandbox} />}</WithGuest>
      )}
      <Policy key={JSON.stringify(sandbox.network)} sandbox={sandbox} />
    </div>
  );
}

/** Nothing in the guest tells of ports that begin to listen. */
const askEvery = 3000;
const agentPort = 49983;
/** The state of a listening socket in /proc/net/tcp. */
const listening = "0A";

async function listeningPorts(guest: Guest): Promise<number[]> {
  const table = await run(guest, "/bin/sh", ["-c", "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; true"]);
  const ports = table.split("\n").flatMap((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    const port = Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16);
    return state === listening && port !== agentPort ? [port] : [];
  });
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** Where a port of a sandbox is reached. */
function portURL(sandbox: SandboxDetail, port: number): string {
  return `${location.protocol}//${port}-${sandbox.sandboxID}.${sandbox.domain ?? location.host}`;
}

export function Ports({ guest, sandbox }: { guest: Guest; sandbox: SandboxDetail }) {
  const ports = useQuery({
    queryKey: ["ports", guest.sandboxID],
    queryFn: () => listeningPorts(guest),
    refetchInterval: askEvery,
  });
  const open = sandbox.network?.allowPublicTraffic !== false;
  return (
    <section className="panel" aria-labelledby="ports">
      <header>
        <h2 id="ports">Listening ports</h2>
      </header>
      {ports.isPending && <Loading />}
      {ports.isError && (
        <div className="body">
          <ErrorNote error={ports.error} />
        </div>
      )}
      {ports.data?.length === 0 && (
        <Empty title="Nothing listens">
          <p>
            Start a server in the sandbox, such as <code>python3 -m http.server 8000</code>, and its address appears
            here.
          </p>
        </Empty>
      )}
      {ports.data !== undefined && ports.data.length > 0 && (
        <Table
          label="Listening ports"
          items={ports.data}
          keyOf={String}
          columns={[
            { title: "Port", numeric: true, tight: true, cell: (port) => port },
            { title: "Address", cell: (port) => <Copy text={portURL(sandbox, port)} what="the address" /> },
            {
              title: "",
              cell: (port) =>
                open ? (
                  <a href={portURL(sandbox, port)} target="_blank" rel="noreferrer">
                    Open
                  </a>
                ) : (
                  <span className="muted">needs the traffic token</span>
                ),
            },
          ]}
        />
      )}
    </section>
  );
}

function Policy({ sandbox }: { sandbox: SandboxDetail }) {
  const { may } = useSession();
  const network = sandbox.network ?? {};
  const [allowOut, setAllowOut] = useState((network.allowOut ?? []).join("\n"));
  const [denyOut, setDenyOut] = useState((network.denyOut ?? []).join("\n"));
  const [internet, setInternet] = useState(sandbox.allowInternetAccess !== false);
  const [busy, setBusy] = useState(false);
  const act = useAct();
  const queries = useQueryClient();
  const mayWrite = may("sandbox:write");
  const hasSecretParts = network.egressProxy !== undefined || Object.keys(network.rules ?? {}).length > 0;
  const apply = async () => {
    setBusy(true);
    await act(async () => {
      await ok(
        api.PUT("/sandboxes/{sandboxID}/network", {
          params: { path: { sandboxID: sandbox.sandboxID } },
          body: { allowOut: lines(allowOut), denyOut: lines(denyOut), allow_internet_access: internet },
        }),
      );
      void queries.invalidateQueries({ queryKey: ["sandboxes"] });
    }, "The policy applies to new connections.");
    setBusy(false);
  };
  return (
    <section className="panel" aria-labelledby="policy">
      <header>
        <h2 id="policy">Policy</h2>
      </header>
      <div className="body stack">
        <p className="muted">
          Its ports are{" "}
          {network.allowPublicTraffic === false
            ? "open with its traffic token only"
            : "open to whoever knows their address"}
          . Private networks, other sandboxes and the host are out of its reach in any case.
        </p>
        <Check checked={internet} onChange={setInternet} disabled={!mayWrite}>
          It may reach the internet
        </Check>
        <div className="columns">
          <Area
            label="May connect to"
            mono
            rows={4}
            value={allowOut}
            onChange={setAllowOut}
            placeholder="*.example.com"
            hint="Domains, addresses and CIDR blocks, one a line; goes before the other list."
          />
          <Area
            label="May not connect to"
            mono
            rows={4}
            value={denyOut}
            onChange={setDenyOut}
            placeholder="0.0.0.0/0"
            hint="Addresses and CIDR blocks, one a line."
          />
        </div>
        {hasSecretParts && (
          <div className="note warning">
            It has a proxy or rules for requests, which this page does not show in full. Applying a policy here would
            remove them, so it is only possible through the API.
          </div>
        )}
        {mayWrite && !hasSecretParts && (
          <div className="row">
            <Button kind="primary" disabled={busy || sandbox.state !== "running"} onClick={apply}>
              {busy ? "Applying…" : "Apply"}
            </Button>
            {sandbox.state !== "running" && <span className="muted">It has to run for that.</span>}
          </div>
        )}
      </div>
    </section>
  );
}

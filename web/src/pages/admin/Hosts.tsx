import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { Button, Choice, Copy, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { Ago, mebibytes } from "../../ui/format";
import { Empty, useAct } from "../../ui/notes";
import { List } from "../../ui/table";
import { lines } from "../sandboxes/Create";

type Host = Schemas["Host"];

const states: Record<Host["state"], string> = {
  pending: "state busy",
  ready: "state ok",
  draining: "state busy",
  unreachable: "state bad",
  retired: "state",
};

/** How much of a host is given out changes without an event of this page's team. */
const askEvery = 5000;

export function HostsPage() {
  const [joining, setJoining] = useState(false);
  const [retiring, setRetiring] = useState<Host | null>(null);
  const queries = useQueryClient();
  const act = useAct();
  const refresh = () => queries.invalidateQueries({ queryKey: ["hosts"] });
  const drain = (host: Host) =>
    act(
      async () => {
        const params = { path: { hostID: host.hostID } };
        if (host.state === "draining") await ok(api.POST("/hosts/{hostID}/undrain", { params }));
        else await ok(api.POST("/hosts/{hostID}/drain", { params }));
        await refresh();
      },
      host.state === "draining" ? `${host.name} takes sandboxes again.` : `${host.name} takes no new sandboxes.`,
    );
  return (
    <Page
      title="Hosts"
      actions={
        <Button kind="primary" data-create="" onClick={() => setJoining(true)}>
          Add a host
        </Button>
      }
    >
      <List
        label="Hosts"
        queryKey={["hosts"]}
        refetchInterval={askEvery}
        load={async () => ({ items: await ok(api.GET("/hosts")), next: "" })}
        keyOf={(host) => host.hostID}
        empty={
          <Empty title="No hosts">
            <p>Sandboxes run on hosts. Add one to run any.</p>
          </Empty>
        }
        columns={[
          {
            title: "Host",
            cell: (host) => (
              <div title={host.hostID}>
                {host.name}
                <div className="muted">{host.tags.join(", ")}</div>
              </div>
            ),
          },
          { title: "State", cell: (host) => <span className={states[host.state]}>{host.state}</span> },
          {
            title: "Driver",
            wide: true,
            cell: (host) => (
              <div title={`version ${host.version}`}>
                {host.driver}, {host.accelerator}
              </div>
            ),
          },
          {
            title: "Sandboxes",
            numeric: true,
            cell: (host) => (
              <div title={`${host.pausedCount} paused, ${host.failedCount} failed`}>{host.sandboxCount}</div>
            ),
          },
          {
            title: "CPUs given out",
            numeric: true,
            wide: true,
            cell: (host) => `${host.allocated.cpuCount} of ${host.cpuCount}`,
          },
          {
            title: "Memory given out",
            numeric: true,
            wide: true,
            cell: (host) => `${mebibytes(host.allocated.memoryMB)} of ${mebibytes(host.memoryMB)}`,
          },
          {
            title: "Disk given out",
            numeric: true,
            wide: true,
            cell: (host) => `${mebibytes(host.allocated.diskMB)} of ${mebibytes(host.diskMB)}`,
          },
          { title: "Seen", wide: true, cell: (host) => <Ago time={host.lastSeenAt} /> },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (host) => (
              <span className="row">
                {(host.state === "ready" || host.state === "draining") && (
                  <Button small kind="plain" onClick={() => drain(host)}>
                    {host.state === "draining" ? "Undrain" : "Drain"}
                  </Button>
                )}
                {host.state !== "retired" && (
                  <Button small kind="plain" aria-label={`Retire ${host.name}`} onClick={() => setRetiring(host)}>
                    Retire
                  </Button>
                )}
              </span>
            ),
          },
        ]}
      />
      {joining && <AddHost onClose={() => setJoining(false)} />}
      {retiring !== null && (
        <Confirm
          title={`Retire ${retiring.name}?`}
          action="Retire"
          typed={retiring.name}
          onClose={() => setRetiring(null)}
          onConfirm={async () => {
            await ok(api.DELETE("/hosts/{hostID}", { params: { path: { hostID: retiring.hostID } } }));
            await refresh();
          }}
        >
          <p>It leaves the installation. That is refused while it has sandboxes, running or paused.</p>
        </Confirm>
      )}
    </Page>
  );
}

function AddHost({ onClose }: { onClose: () => void }) {
  const [token, setToken] = useState<Schemas["HostToken"] | null>(null);
  const made = useRef(false);
  if (token !== null) return <JoinCommand token={token} onClose={onClose} />;
  return (
    <NewToken
      onMade={(one) => {
        made.current = true;
        setToken(one);
      }}
      onClose={() => !made.current && onClose()}
    />
  );
}

function JoinCommand({ token, onClose }: { token: Schemas["HostToken"]; onClose: () => void }) {
  const insecure = location.protocol === "https:" ? "" : " --insecure";
  return (
    <Dialog title="Add a host" onClose={onClose}>
      <p>
        On the new machine, as root, with <code>wrenn-host-agent</code> and <code>envd</code> beside each other;
        ADDRESS:PORT is where control planes reach it:
      </p>
      <Copy
        text={`WRENN_SERVER=${location.origin} WRENN_HOST_TOKEN=${token.token} wrenn-host-agent join --address ADDRESS:PORT${insecure}`}
        what="the command"
      />
      <p>
        Then start <code>wrenn-host-agent</code>, and the host appears here.
      </p>
      <p className="muted">
        The token works once, and ends <Ago time={token.expiresAt} />.
      </p>
    </Dialog>
  );
}

function NewToken({ onMade, onClose }: { onMade: (token: Schemas["HostToken"]) => void; onClose: () => void }) {
  const [tags, setTags] = useState("");
  const [hours, setHours] = useState("1");
  return (
    <Dialog
      title="Add a host"
      narrow
      submit="Make a token"
      onClose={onClose}
      onSubmit={async () => {
        const lifetimeSeconds = Number(hours) * 3600;
        onMade(await ok(api.POST("/hosts/tokens", { body: { tags: lines(tags), lifetimeSeconds } })));
      }}
    >
      <Field
        label="Tags"
        value={tags}
        onChange={(event) => setTags(event.target.value)}
        hint="Separated by commas. A create can ask for a host with them."
      />
      <Choice
        label="The token ends in"
        value={hours}
        options={[
          ["1", "1 hour"],
          ["24", "1 day"],
        ]}
        onChange={setHours}
      />
    </Dialog>
  );
}

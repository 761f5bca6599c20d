import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok } from "../../api/client";
import { Page } from "../../app/Page";
import { Button } from "../../ui/controls";
import { Confirm } from "../../ui/dialog";
import { Empty, ErrorNote, Loading, useTell } from "../../ui/notes";
import { Table } from "../../ui/table";

const askEvery = 5000;

/** What runs, in which version, and whether it is well. */
export function InstallationPage() {
  const health = useQuery({
    queryKey: ["installation", "health"],
    queryFn: async () => {
      await ok(api.GET("/health"));
      return true;
    },
    refetchInterval: askEvery,
    retry: false,
  });
  const hosts = useQuery({ queryKey: ["hosts", "versions"], queryFn: () => ok(api.GET("/hosts")) });
  const extensions = useQuery({
    queryKey: ["installation", "extensions"],
    queryFn: () => ok(api.GET("/admin/extensions")),
  });
  const keys = useQuery({ queryKey: ["installation", "keys"], queryFn: () => ok(api.GET("/admin/keys")) });
  return (
    <Page title="Installation">
      <section className="panel">
        <div className="body stack">
          {health.isError ? (
            <ErrorNote error={health.error} retry={() => void health.refetch()} />
          ) : (
            <span className={health.data === true ? "state ok" : "state busy"}>
              {health.data === true ? "The control plane and its database are well" : "Asking…"}
            </span>
          )}
        </div>
      </section>
      <section className="panel">
        <header>
          <h2>Versions</h2>
        </header>
        {hosts.isPending ? (
          <Loading />
        ) : (
          <Table
            label="Versions"
            items={hosts.data ?? []}
            keyOf={(host) => host.hostID}
            columns={[
              { title: "Host", cell: (host) => host.name },
              { title: "Version", cell: (host) => <span className="mono">{host.version}</span> },
              { title: "Driver", cell: (host) => `${host.driver}, ${host.accelerator}` },
            ]}
          />
        )}
      </section>
      <Running />
      <section className="panel">
        <header>
          <h2>Extensions</h2>
        </header>
        {(extensions.data ?? []).length === 0 ? (
          <Empty title="No extensions">
            <p>A program of your own can add routes, events and pages to the control plane.</p>
          </Empty>
        ) : (
          <Table
            label="Extensions"
            items={extensions.data ?? []}
            keyOf={(extension) => extension.name}
            columns={[
              { title: "Name", cell: (extension) => extension.name },
              { title: "State", cell: (extension) => extension.state },
              { title: "Failures", numeric: true, cell: (extension) => extension.failures },
              {
                title: "Pages",
                cell: (extension) =>
                  extension.pages.map((one) => (
                    <a key={one.path} href={one.path}>
                      {one.title}
                    </a>
                  )),
              },
            ]}
          />
        )}
      </section>
      {(keys.data ?? []).length > 0 && (
        <section className="panel">
          <header>
            <h2>Secret keys</h2>
          </header>
          <Table
            label="Secret keys"
            items={keys.data ?? []}
            keyOf={(key) => key.keyID}
            columns={[
              { title: "Key", cell: (key) => <span className="mono">{key.keyID}</span> },
              { title: "Newest", cell: (key) => (key.newest ? "yes" : "no") },
              { title: "Known", cell: (key) => (key.known ? "yes" : "no") },
              { title: "Seals", numeric: true, cell: (key) => `${key.sealedCount} values` },
            ]}
          />
        </section>
      )}
    </Page>
  );
}

/** How many sandboxes each team runs, all of which an admin may kill. */
function Running() {
  const counts = useQuery({
    queryKey: ["sandboxes", "counts"],
    queryFn: () => ok(api.GET("/admin/sandboxes/running-counts")),
    refetchInterval: askEvery,
  });
  const [killing, setKilling] = useState<string | null>(null);
  const tell = useTell();
  const teams = Object.entries((counts.data ?? {}) as Record<string, number>);
  return (
    <section className="panel">
      <header>
        <h2>Teams that run sandboxes</h2>
      </header>
      {teams.length === 0 ? (
        <Empty title="Nothing runs" />
      ) : (
        <Table
          label="Teams that run sandboxes"
          items={teams}
          keyOf={([team]) => team}
          columns={[
            { title: "Team", cell: ([team]) => <span className="mono">{team}</span> },
            { title: "Running", numeric: true, cell: ([, count]) => count },
            {
              title: <span className="hidden-text">Actions</span>,
              tight: true,
              cell: ([team]) => (
                <Button small kind="plain" aria-label={`Kill all of ${team}`} onClick={() => setKilling(team)}>
                  Kill all
                </Button>
              ),
            },
          ]}
        />
      )}
      {killing !== null && (
        <Confirm
          title="Kill all sandboxes of the team?"
          action="Kill all"
          typed={killing}
          onClose={() => setKilling(null)}
          onConfirm={async () => {
            const { killedCount, failedCount } = await ok(
              api.POST("/admin/teams/{teamID}/sandboxes/kill", { params: { path: { teamID: killing } } }),
            );
            await counts.refetch();
            tell({ text: `${killedCount} were killed, ${failedCount} were not.` });
          }}
        >
          <p>Their memory and disks are lost.</p>
        </Confirm>
      )}
    </section>
  );
}

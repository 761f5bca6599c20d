import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button } from "../../ui/controls";
import { mebibytes } from "../../ui/format";
import { Empty, ErrorNote, Loading } from "../../ui/notes";
import { Table } from "../../ui/table";
import { drawChart } from "../sandboxes/chartview";
import "../sandboxes/chart.css";
import { save } from "../../api/files";

type Metric = Schemas["TeamMetric"];

const ranges: [days: number, text: string][] = [
  [1, "1 d"],
  [7, "7 d"],
  [30, "30 d"],
];

const day = 86_400;

export function UsagePage() {
  const { team } = useSession();
  const [days, setDays] = useState(7);
  const path = { teamID: team.teamID };
  const metrics = useQuery({
    queryKey: ["usage", team.teamID, "metrics", days],
    queryFn: () => {
      const end = Math.floor(Date.now() / 1000);
      return ok(api.GET("/teams/{teamID}/metrics", { params: { path, query: { start: end - days * day, end } } }));
    },
    placeholderData: (before) => before,
  });
  const usage = useQuery({
    queryKey: ["usage", team.teamID, "sum", days],
    queryFn: () => {
      const end = Date.now();
      return ok(
        api.GET("/teams/{teamID}/usage", {
          params: {
            path,
            query: { start: new Date(end - days * day * 1000).toISOString(), end: new Date(end).toISOString() },
          },
        }),
      );
    },
    placeholderData: (before) => before,
  });
  return (
    <Page
      title="Usage"
      actions={
        metrics.data !== undefined && (
          <Button onClick={() => save(table(metrics.data), `usage-${team.name}.csv`)}>Download as CSV</Button>
        )
      }
    >
      <fieldset className="row plain-group">
        <legend className="hidden-text">Time range</legend>
        {ranges.map(([value, text]) => (
          <Button key={value} small aria-pressed={value === days} onClick={() => setDays(value)}>
            {text}
          </Button>
        ))}
      </fieldset>
      {usage.isError && <ErrorNote error={usage.error} retry={() => void usage.refetch()} />}
      {usage.data !== undefined && <Sums usage={usage.data} />}
      {metrics.isPending && <Loading />}
      {metrics.isError && <ErrorNote error={metrics.error} retry={() => void metrics.refetch()} />}
      {metrics.data !== undefined && <Concurrency metrics={metrics.data} />}
      <Limits />
    </Page>
  );
}

function hours(seconds: number): string {
  return (seconds / 3600).toFixed(2);
}

function Sums({ usage }: { usage: Schemas["Usage"] }) {
  return (
    <section className="panel">
      <div className="body">
        <dl className="facts">
          <dt>Sandboxes that ran</dt>
          <dd>{usage.sandboxCount}</dd>
          <dt>vCPU hours</dt>
          <dd>{hours(usage.vcpuSeconds)}</dd>
          <dt>GiB hours of memory</dt>
          <dd>{hours(usage.memoryGiBSeconds)}</dd>
          <dt>Builds</dt>
          <dd>
            {usage.buildCount}, with {hours(usage.buildVcpuSeconds)} vCPU hours
          </dd>
        </dl>
      </div>
    </section>
  );
}

function Concurrency({ metrics }: { metrics: Metric[] }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (place.current === null) return;
    const times = metrics.map((one) => one.timestampUnix);
    const most = Math.max(1, ...metrics.map((one) => one.concurrentSandboxes));
    const series = [{ label: "Sandboxes", values: metrics.map((one) => one.concurrentSandboxes) }];
    return drawChart(place.current, times, series, "", most);
  }, [metrics]);
  return (
    <section className="panel" aria-label="Sandboxes at once">
      <header>
        <h2>Sandboxes at once</h2>
      </header>
      {metrics.length === 0 ? (
        <Empty title="No samples in this time" />
      ) : (
        <div className="chart" role="img" aria-label="Sandboxes that ran at once, over time" ref={place} />
      )}
    </section>
  );
}

function table(metrics: Metric[]): Blob {
  const rows = metrics.map((one) => `${one.timestamp},${one.concurrentSandboxes},${one.sandboxStartRate}`);
  return new Blob([["time,concurrent_sandboxes,sandbox_start_rate", ...rows, ""].join("\n")], { type: "text/csv" });
}

const limits: [name: keyof Schemas["Limits"], text: string, inMiB?: boolean][] = [
  ["maxSandboxes", "Sandboxes"],
  ["maxVcpus", "vCPUs"],
  ["maxMemoryMiB", "Memory", true],
  ["maxDiskMiB", "Disk", true],
  ["maxBuilds", "Builds at once"],
  ["maxCreatesPerMinute", "Creates a minute"],
  ["maxVolumes", "Volumes"],
  ["maxVolumeMiB", "Volumes, in all", true],
  ["maxSecrets", "Secrets"],
  ["maxSnapshots", "Snapshots"],
];

function Limits() {
  const { team } = useSession();
  const found = useQuery({
    queryKey: ["usage", team.teamID, "limits"],
    queryFn: () => ok(api.GET("/teams/{teamID}/limits", { params: { path: { teamID: team.teamID } } })),
  });
  if (found.data === undefined) return null;
  const inUse = found.data.inUse as Record<string, number | undefined>;
  const shown = (value: number | null | undefined, inMiB: boolean | undefined) =>
    value === null || value === undefined ? "–" : inMiB ? mebibytes(value) : value;
  return (
    <section className="panel">
      <header>
        <h2>Limits</h2>
      </header>
      <Table
        label="Limits"
        items={limits}
        keyOf={([name]) => name}
        columns={[
          { title: "Of", cell: ([, text]) => text },
          { title: "In use", numeric: true, cell: ([name, , inMiB]) => shown(inUse[usedName(name)], inMiB) },
          { title: "At most", numeric: true, cell: ([name, , inMiB]) => shown(found.data.limits[name], inMiB) },
        ]}
      />
    </section>
  );
}

/** The name of what is in use of a limit: maxSandboxes is about sandboxes. */
function usedName(limit: string): string {
  const name = limit.replace(/^max/, "");
  return name.charAt(0).toLowerCase() + name.slice(1);
}

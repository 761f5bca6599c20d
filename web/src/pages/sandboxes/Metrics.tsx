import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { Button } from "../../ui/controls";
import { bytes } from "../../ui/format";
import { Empty, ErrorNote, Loading } from "../../ui/notes";
import { drawChart, type Series } from "./chartview";
import { useSandbox } from "./Sandbox";
import "./chart.css";

type Metric = Schemas["SandboxMetric"];

const ranges: [seconds: number, text: string][] = [
  [300, "5 min"],
  [3600, "1 h"],
  [21_600, "6 h"],
  [86_400, "1 d"],
  [604_800, "7 d"],
];

/** Hosts sample their sandboxes this often, and no event tells of a sample. */
const sampledEvery = 5000;

export function MetricsPage() {
  const sandbox = useSandbox().data;
  const [range, setRange] = useState(300);
  const metrics = useQuery({
    queryKey: ["metrics", sandbox?.sandboxID, range],
    queryFn: () => {
      const end = Math.floor(Date.now() / 1000);
      return ok(
        api.GET("/sandboxes/{sandboxID}/metrics", {
          params: { path: { sandboxID: sandbox?.sandboxID ?? "" }, query: { start: end - range, end } },
        }),
      );
    },
    enabled: sandbox !== undefined,
    refetchInterval: sandbox?.state === "running" ? sampledEvery : false,
    placeholderData: (before) => before,
  });
  return (
    <div className="stack">
      <fieldset className="row plain-group">
        <legend className="hidden-text">Time range</legend>
        {ranges.map(([seconds, text]) => (
          <Button key={seconds} small aria-pressed={seconds === range} onClick={() => setRange(seconds)}>
            {text}
          </Button>
        ))}
      </fieldset>
      {metrics.isPending && <Loading />}
      {metrics.isError && <ErrorNote error={metrics.error} retry={() => void metrics.refetch()} />}
      {metrics.data?.length === 0 && (
        <section className="panel">
          <Empty title="No samples in this time">
            <p>Its host takes one every few seconds while it runs.</p>
          </Empty>
        </section>
      )}
      {metrics.data !== undefined && metrics.data.length > 0 && <Charts metrics={metrics.data} />}
    </div>
  );
}

const gibibyte = 1024 ** 3;

function Charts({ metrics }: { metrics: Metric[] }) {
  const last = metrics.at(-1);
  if (last === undefined) return null;
  return (
    <div className="charts">
      <Chart
        title="CPU"
        value={`${last.cpuUsedPct.toFixed(0)} % of ${last.cpuCount}`}
        metrics={metrics}
        unit="%"
        most={100}
        series={[{ label: "CPU", of: (one) => one.cpuUsedPct }]}
      />
      <Chart
        title="Memory"
        value={`${bytes(last.memUsed)} of ${bytes(last.memTotal)}, ${bytes(last.memCache)} in caches`}
        metrics={metrics}
        unit="GiB"
        most={last.memTotal / gibibyte}
        series={[
          { label: "In use", of: (one) => one.memUsed / gibibyte },
          { label: "With caches", of: (one) => (one.memUsed + one.memCache) / gibibyte },
        ]}
      />
      <Chart
        title="Disk"
        value={`${bytes(last.diskUsed)} of ${bytes(last.diskTotal)}`}
        metrics={metrics}
        unit="GiB"
        most={last.diskTotal / gibibyte}
        series={[{ label: "In use", of: (one) => one.diskUsed / gibibyte }]}
      />
    </div>
  );
}

interface ChartProps {
  title: string;
  value: string;
  metrics: Metric[];
  unit: string;
  /** The end of the scale. */
  most: number;
  series: { label: string; of: (metric: Metric) => number }[];
}

function Chart({ title, value, metrics, unit, most, series }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (place.current === null) return;
    const times = metrics.map((one) => one.timestampUnix);
    const drawn: Series[] = series.map(({ label, of }) => ({ label, values: metrics.map(of) }));
    return drawChart(place.current, times, drawn, unit, most);
  }, [metrics, series, unit, most]);
  return (
    <section className="panel" aria-label={title}>
      <header>
        <h2 className="grow">{title}</h2>
        <span className="muted">{value}</span>
      </header>
      <div className="chart" role="img" aria-label={`${title}: ${value}`} ref={place} />
    </section>
  );
}

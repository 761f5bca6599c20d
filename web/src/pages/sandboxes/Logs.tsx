import { useQuery } from "@tanstack/react-query";
import { useCallback, useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { Button, Choice, SearchField } from "../../ui/controls";
import { Moment } from "../../ui/format";
import { Empty, ErrorNote, Loading } from "../../ui/notes";
import { Table } from "../../ui/table";
import { useSandbox } from "./Sandbox";

type Level = Schemas["LogLevel"];

const pageSize = 200;
/** The log grows without events. */
const askEvery = 2000;

export function LogsPage() {
  const sandbox = useSandbox().data;
  const [level, setLevel] = useState("");
  const [search, setSearch] = useState("");
  // The moment before which lines are shown, in milliseconds; undefined for the newest.
  const [before, setBefore] = useState<number | undefined>();
  const applySearch = useCallback((text: string) => setSearch(text), []);
  const logs = useQuery({
    queryKey: ["logs", sandbox?.sandboxID, level, search, before],
    queryFn: () =>
      ok(
        api.GET("/v2/sandboxes/{sandboxID}/logs", {
          params: {
            path: { sandboxID: sandbox?.sandboxID ?? "" },
            query: {
              direction: "backward",
              limit: pageSize,
              level: level === "" ? undefined : (level as Level),
              search: search === "" ? undefined : search,
              cursor: before,
            },
          },
        }),
      ),
    enabled: sandbox !== undefined,
    refetchInterval: before === undefined && sandbox?.state === "running" ? askEvery : false,
    placeholderData: (old) => old,
  });
  const lines = logs.data?.logs ?? [];
  const oldest = lines.at(-1);
  return (
    <div className="stack">
      <search className="filters">
        <SearchField label="Search the log" value={search} onChange={applySearch} />
        <Choice
          label="Level"
          bare
          value={level}
          options={[
            ["", "Any level"],
            ["info", "Info and above"],
            ["warn", "Warnings and errors"],
            ["error", "Errors"],
          ]}
          onChange={setLevel}
        />
      </search>
      <section className="panel">
        {logs.isPending && <Loading />}
        {logs.isError && (
          <div className="body">
            <ErrorNote error={logs.error} retry={() => void logs.refetch()} />
          </div>
        )}
        {logs.data !== undefined && lines.length === 0 && (
          <Empty title="No lines">
            <p>What happens to the sandbox, and what its guest agent does, is logged here.</p>
          </Empty>
        )}
        {lines.length > 0 && (
          <Table
            label="Log"
            items={lines.map((line, index) => ({ ...line, index }))}
            keyOf={(line) => `${line.timestamp} ${line.index}`}
            columns={[
              {
                title: "Time",
                cell: (line) => (
                  <span className="nowrap">
                    <Moment time={line.timestamp} />
                  </span>
                ),
              },
              {
                title: "Level",
                cell: (line) => (
                  <span className={line.level === "error" ? "state bad" : line.level === "warn" ? "state busy" : ""}>
                    {line.level}
                  </span>
                ),
              },
              {
                title: "Message",
                cell: (line) => (
                  <span className="mono" title={JSON.stringify(line.fields, null, 2)}>
                    {line.message}
                  </span>
                ),
              },
            ]}
          />
        )}
        <nav className="pages" aria-label="Pages of the log">
          {before !== undefined && (
            <Button small onClick={() => setBefore(undefined)}>
              Newest
            </Button>
          )}
          <Button
            small
            disabled={lines.length < pageSize || oldest === undefined}
            onClick={() => oldest !== undefined && setBefore(Date.parse(oldest.timestamp))}
          >
            Older
          </Button>
        </nav>
      </section>
    </div>
  );
}

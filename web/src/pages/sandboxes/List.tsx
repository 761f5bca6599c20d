import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useState } from "react";
import { api, page, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button, Choice, SearchField } from "../../ui/controls";
import { Ago, mebibytes } from "../../ui/format";
import { Empty } from "../../ui/notes";
import { type Column, List } from "../../ui/table";
import { BulkActions } from "./Bulk";
import { CreateSandbox } from "./Create";
import { SandboxState } from "./State";

export type ListedSandbox = Schemas["ListedSandbox"];

/** The filters of the list, as they stand in the page's address. */
export interface SandboxSearch {
  state?: string | undefined;
  template?: string | undefined;
  metadata?: string | undefined;
  order?: "asc" | undefined;
}

const pageSize = 50;

function load(search: SandboxSearch, nextToken: string | undefined) {
  return page(
    api.GET("/v2/sandboxes", {
      params: {
        query: {
          state: search.state === undefined ? undefined : [search.state as Schemas["SandboxState"]],
          template: search.template,
          metadata: search.metadata,
          order: search.order,
          limit: pageSize,
          nextToken,
        },
      },
    }),
  );
}

export function SandboxesPage() {
  const { may, team } = useSession();
  const search = useSearch({ from: "/app/sandboxes" });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [creating, setCreating] = useState(false);
  const [chosen, setChosen] = useState<ReadonlyMap<string, ListedSandbox>>(new Map());
  const filter = useCallback(
    (change: SandboxSearch) =>
      navigate({ to: "/app/sandboxes", search: (old) => ({ ...old, ...change }), replace: true }),
    [navigate],
  );
  const filterTemplate = useCallback((template: string) => void filter({ template: template || undefined }), [filter]);
  const filterMetadata = useCallback((metadata: string) => void filter({ metadata: metadata || undefined }), [filter]);
  const filtered = search.state !== undefined || search.template !== undefined || search.metadata !== undefined;
  const mayWrite = may("sandbox:write");
  const choose = (sandbox: ListedSandbox) => {
    const next = new Map(chosen);
    if (!next.delete(sandbox.sandboxID)) next.set(sandbox.sandboxID, sandbox);
    setChosen(next);
  };
  return (
    <Page
      title="Sandboxes"
      actions={
        mayWrite && (
          <Button kind="primary" data-create="" onClick={() => setCreating(true)}>
            Create sandbox
          </Button>
        )
      }
    >
      <search className="filters">
        <SearchField
          label="Template"
          placeholder="Template, by ID or name"
          value={search.template ?? ""}
          onChange={filterTemplate}
        />
        <SearchField
          label="Metadata"
          placeholder="Metadata, such as user=abc&app=prod"
          value={search.metadata ?? ""}
          onChange={filterMetadata}
        />
        <Choice
          label="State"
          bare
          value={search.state ?? ""}
          options={[
            ["", "Any state"],
            ["running", "Running"],
            ["paused", "Paused"],
          ]}
          onChange={(state) => void filter({ state: state || undefined })}
        />
        {filtered && (
          <Button kind="plain" onClick={() => filter({ state: undefined, template: undefined, metadata: undefined })}>
            Clear
          </Button>
        )}
      </search>
      {chosen.size > 0 && <BulkActions chosen={[...chosen.values()]} onDone={() => setChosen(new Map())} />}
      <List
        label="Sandboxes"
        queryKey={["sandboxes", team.teamID, search]}
        load={(nextToken) => load(search, nextToken)}
        keyOf={(sandbox) => sandbox.sandboxID}
        chosen={(sandbox) => chosen.has(sandbox.sandboxID)}
        columns={columns({
          search,
          sort: () => void filter({ order: search.order === "asc" ? undefined : "asc" }),
          choose: mayWrite ? choose : undefined,
          isChosen: (sandbox) => chosen.has(sandbox.sandboxID),
        })}
        empty={
          filtered ? (
            <Empty title="No sandbox is like that">
              <p>Clear the filters to see all of them.</p>
            </Empty>
          ) : (
            <FirstSandbox mayWrite={mayWrite} create={() => setCreating(true)} />
          )
        }
      />
      {creating && (
        <CreateSandbox
          onClose={() => setCreating(false)}
          onCreated={async (sandboxID) => {
            await queries.invalidateQueries({ queryKey: ["sandboxes"] });
            await navigate({ to: "/app/sandboxes/$sandboxID", params: { sandboxID } });
          }}
        />
      )}
    </Page>
  );
}

interface ColumnsOf {
  search: SandboxSearch;
  sort: () => void;
  choose: ((sandbox: ListedSandbox) => void) | undefined;
  isChosen: (sandbox: ListedSandbox) => boolean;
}

function columns({ search, sort, choose, isChosen }: ColumnsOf): Column<ListedSandbox>[] {
  const all: Column<ListedSandbox>[] = [
    {
      title: "Sandbox",
      cell: (sandbox) => (
        <Link to="/app/sandboxes/$sandboxID" params={{ sandboxID: sandbox.sandboxID }} className="mono">
          {sandbox.sandboxID}
        </Link>
      ),
    },
    { title: "State", cell: (sandbox) => <SandboxState sandbox={sandbox} /> },
    {
      title: "Template",
      cell: (sandbox) => <span className="ellipsis">{sandbox.alias ?? sandbox.templateID}</span>,
      wide: true,
    },
    {
      title: (
        <button type="button" onClick={sort} title="Sort by start">
          Started <span aria-hidden="true">{search.order === "asc" ? "↑" : "↓"}</span>
        </button>
      ),
      cell: (sandbox) => <Ago time={sandbox.startedAt} />,
      wide: true,
    },
    {
      title: "Ends",
      cell: (sandbox) =>
        sandbox.state === "running" ? <Ago time={sandbox.endAt} /> : <span className="muted">–</span>,
    },
    {
      title: "Size",
      cell: (sandbox) => `${sandbox.cpuCount} CPU, ${mebibytes(sandbox.memoryMB)}`,
      wide: true,
    },
    {
      title: "Metadata",
      cell: (sandbox) => (
        <span className="chips">
          {Object.entries(sandbox.metadata ?? {}).map(([key, value]) => (
            <span key={key} className="chip mono" title={`${key}=${value}`}>
              {key}={value}
            </span>
          ))}
        </span>
      ),
      wide: true,
    },
  ];
  if (choose === undefined) return all;
  return [
    {
      title: <span className="hidden-text">Choose</span>,
      tight: true,
      cell: (sandbox) => (
        <input
          type="checkbox"
          aria-label={`Choose ${sandbox.sandboxID}`}
          checked={isChosen(sandbox)}
          onChange={() => choose(sandbox)}
        />
      ),
    },
    ...all,
  ];
}

function FirstSandbox({ mayWrite, create }: { mayWrite: boolean; create: () => void }) {
  const example = [
    `export E2B_API_URL=${location.origin} E2B_SANDBOX_URL=${location.origin}`,
    "export E2B_API_KEY=… # of the page Keys",
    "npx @e2b/cli sandbox create base",
  ].join("\n");
  return (
    <Empty title="No sandbox yet">
      <p>A sandbox is a Linux machine of its own that starts in a moment, runs any code and can be paused.</p>
      {mayWrite ? (
        <>
          <Button kind="primary" onClick={create}>
            Create sandbox
          </Button>
          <p>Or from a terminal, with any of E2B's tools:</p>
          <pre>{example}</pre>
        </>
      ) : (
        <p>Your role lets you watch. Whoever has the role member, or a key, can create one.</p>
      )}
    </Empty>
  );
}

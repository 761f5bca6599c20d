import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, ok, page, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button } from "../../ui/controls";
import { Ago, mebibytes } from "../../ui/format";
import { Empty } from "../../ui/notes";
import { type Column, List, Table } from "../../ui/table";
import { BuildTemplate } from "./Build";
import { BuildStatus } from "./Status";

type Template = Schemas["Template"];

const columns: Column<Template>[] = [
  {
    title: "Template",
    cell: (template) => (
      <Link to="/app/templates/$templateID" params={{ templateID: template.templateID }} className="mono">
        {template.names[0] ?? template.templateID}
      </Link>
    ),
  },
  { title: "Last build", cell: (template) => <BuildStatus status={template.buildStatus} /> },
  { title: "Shared", wide: true, cell: (template) => (template.public ? "public" : "team") },
  { title: "Size", wide: true, cell: (template) => `${template.cpuCount} CPU, ${mebibytes(template.memoryMB)}` },
  { title: "Builds", numeric: true, wide: true, cell: (template) => template.buildCount },
  { title: "Sandboxes made", numeric: true, wide: true, cell: (template) => template.spawnCount },
  { title: "Changed", cell: (template) => <Ago time={template.updatedAt} /> },
];

export function TemplatesPage() {
  const { may, team } = useSession();
  const [building, setBuilding] = useState(false);
  const navigate = useNavigate();
  const queries = useQueryClient();
  const defaults = useQuery({
    queryKey: ["templates", team.teamID, "defaults"],
    queryFn: () => ok(api.GET("/default-templates")),
  });
  const own = useQuery({
    queryKey: ["templates", team.teamID, "names"],
    queryFn: () => ok(api.GET("/v2/templates", { params: { query: { limit: 100 } } })),
  });
  const others = (defaults.data ?? []).filter(
    (template) => own.data !== undefined && !own.data.some((one) => one.templateID === template.templateID),
  );
  const mayWrite = may("template:write");
  return (
    <Page
      title="Templates"
      actions={
        mayWrite && (
          <Button kind="primary" data-create="" onClick={() => setBuilding(true)}>
            Build template
          </Button>
        )
      }
    >
      <List
        label="Templates"
        queryKey={["templates", team.teamID, "list"]}
        load={(nextToken) => page(api.GET("/v2/templates", { params: { query: { limit: 50, nextToken } } }))}
        keyOf={(template) => template.templateID}
        columns={columns}
        empty={
          <Empty title="The team has no templates of its own">
            <p>
              A template is what sandboxes start from: any Linux image, or a Dockerfile, that was booted once and kept
              with its memory.
            </p>
            {mayWrite && (
              <Button kind="primary" onClick={() => setBuilding(true)}>
                Build template
              </Button>
            )}
          </Empty>
        }
      />
      {others.length > 0 && (
        <section className="panel">
          <header>
            <h2>For everyone</h2>
          </header>
          <Table
            label="Templates for everyone"
            items={others}
            keyOf={(template) => template.templateID}
            columns={columns}
          />
        </section>
      )}
      {building && (
        <BuildTemplate
          onClose={() => setBuilding(false)}
          onStarted={async (templateID, buildID) => {
            await queries.invalidateQueries({ queryKey: ["templates"] });
            await navigate({ to: "/app/templates/$templateID/builds/$buildID", params: { templateID, buildID } });
          }}
        />
      )}
    </Page>
  );
}

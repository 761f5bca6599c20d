import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api, ok, type Schemas, whole } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button, Copy } from "../../ui/controls";
import { Confirm } from "../../ui/dialog";
import { Ago, mebibytes } from "../../ui/format";
import { Empty, ErrorNote, Loading, useAct } from "../../ui/notes";
import { List, Table } from "../../ui/table";
import { CreateSandbox } from "../sandboxes/Create";
import { BuildTemplate } from "./Build";
import { BuildStatus } from "./Status";

type Detail = Schemas["TemplateWithBuilds"];

export function TemplatePage() {
  const { templateID } = useParams({ from: "/app/templates/$templateID" });
  const { team } = useSession();
  const template = useQuery({
    queryKey: ["templates", team.teamID, "one", templateID],
    queryFn: () => ok(api.GET("/templates/{templateID}", { params: { path: { templateID }, query: { limit: 1 } } })),
  });
  if (template.isPending) return <Loading />;
  if (template.isError) {
    return (
      <Page title="Template">
        <ErrorNote error={template.error} retry={() => void template.refetch()} />
        <Link to="/app/templates">All templates</Link>
      </Page>
    );
  }
  return <Shown template={template.data} />;
}

function Shown({ template }: { template: Detail }) {
  const { team } = useSession();
  const name = template.names[0] ?? template.templateID;
  const path = { templateID: template.templateID };
  const tags = useQuery({
    queryKey: ["templates", team.teamID, "tags", template.templateID],
    queryFn: () => ok(api.GET("/templates/{templateID}/tags", { params: { path } })),
  });
  return (
    <Page
      title={name}
      heading={<Copy text={name} what="the template's name" />}
      actions={<Actions template={template} name={name} />}
    >
      <section className="panel">
        <div className="body">
          <dl className="facts">
            <dt>ID</dt>
            <dd>
              <Copy text={template.templateID} what="the template's ID" />
            </dd>
            <dt>Shared</dt>
            <dd>{template.public ? "with everyone of this installation" : "with the team"}</dd>
            <dt>Sandboxes made</dt>
            <dd>
              {template.spawnCount}, the last <Ago time={template.lastSpawnedAt} />
            </dd>
            <dt>Changed</dt>
            <dd>
              <Ago time={template.updatedAt} />
            </dd>
          </dl>
        </div>
      </section>
      <List
        label="Builds"
        header={
          <header>
            <h2>Builds</h2>
          </header>
        }
        queryKey={["templates", team.teamID, "builds", template.templateID]}
        load={(nextToken) => loadBuilds(template.templateID, nextToken)}
        keyOf={(build) => build.buildID}
        empty={<Empty title="No builds" />}
        columns={[
          {
            title: "Build",
            cell: (build) => (
              <Link
                to="/app/templates/$templateID/builds/$buildID"
                params={{ ...path, buildID: build.buildID }}
                className="mono"
              >
                {build.buildID}
              </Link>
            ),
          },
          { title: "State", cell: (build) => <BuildStatus status={build.status} /> },
          { title: "Began", cell: (build) => <Ago time={build.createdAt} />, wide: true },
          {
            title: "Took",
            wide: true,
            cell: (build) =>
              build.finishedAt === undefined
                ? ""
                : `${Math.round((Date.parse(build.finishedAt) - Date.parse(build.createdAt)) / 1000)} s`,
          },
          {
            title: "Size",
            wide: true,
            cell: (build) =>
              `${build.cpuCount} CPU, ${mebibytes(build.memoryMB)}${build.diskSizeMB === undefined ? "" : `, ${mebibytes(build.diskSizeMB)} disk`}`,
          },
        ]}
      />
      {(tags.data ?? []).length > 0 && (
        <section className="panel">
          <header>
            <h2>Tags</h2>
          </header>
          <Table
            label="Tags"
            items={tags.data ?? []}
            keyOf={(tag) => tag.tag}
            columns={[
              { title: "Tag", cell: (tag) => <span className="mono">{tag.tag}</span> },
              {
                title: "Build",
                cell: (tag) => (
                  <Link
                    to="/app/templates/$templateID/builds/$buildID"
                    params={{ ...path, buildID: tag.buildID }}
                    className="mono"
                  >
                    {tag.buildID}
                  </Link>
                ),
              },
              { title: "Since", cell: (tag) => <Ago time={tag.createdAt} />, wide: true },
            ]}
          />
        </section>
      )}
    </Page>
  );
}

async function loadBuilds(templateID: string, nextToken: string | undefined) {
  const { data, headers } = await whole(
    api.GET("/templates/{templateID}", { params: { path: { templateID }, query: { limit: 20, nextToken } } }),
  );
  return { items: data.builds, next: headers.get("X-Next-Token") ?? "" };
}

function Actions({ template, name }: { template: Detail; name: string }) {
  const { may } = useSession();
  const [asking, setAsking] = useState<"create" | "build" | "publish" | "delete" | null>(null);
  const navigate = useNavigate();
  const queries = useQueryClient();
  const act = useAct();
  const path = { templateID: template.templateID };
  const close = () => setAsking(null);
  const refresh = () => queries.invalidateQueries({ queryKey: ["templates"] });
  const share = async (isPublic: boolean) => {
    await ok(api.PATCH("/v2/templates/{templateID}", { params: { path }, body: { public: isPublic } }));
    await refresh();
  };
  return (
    <>
      {may("sandbox:write") && (
        <Button kind="primary" onClick={() => setAsking("create")}>
          Create sandbox
        </Button>
      )}
      {may("template:write") && (
        <>
          <Button onClick={() => setAsking("build")}>Build again</Button>
          {template.public ? (
            <Button onClick={() => act(() => share(false), "Only the team can use it.")}>Unpublish</Button>
          ) : (
            <Button onClick={() => setAsking("publish")}>Publish</Button>
          )}
          <Button kind="danger" onClick={() => setAsking("delete")}>
            Delete
          </Button>
        </>
      )}
      {asking === "create" && (
        <CreateSandbox
          template={name}
          onClose={close}
          onCreated={(sandboxID) => navigate({ to: "/app/sandboxes/$sandboxID", params: { sandboxID } })}
        />
      )}
      {asking === "build" && (
        <BuildTemplate
          name={name}
          onClose={close}
          onStarted={async (templateID, buildID) => {
            await refresh();
            await navigate({ to: "/app/templates/$templateID/builds/$buildID", params: { templateID, buildID } });
          }}
        />
      )}
      {asking === "publish" && (
        <Confirm title={`Publish ${name}?`} action="Publish" onClose={close} onConfirm={() => share(true)}>
          <p>
            Each team of this installation can make sandboxes from it, and read what is on its disk and in its memory.
          </p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm
          title={`Delete ${name}?`}
          action="Delete"
          typed={name}
          onClose={close}
          onConfirm={async () => {
            await ok(api.DELETE("/templates/{templateID}", { params: { path } }));
            await navigate({ to: "/app/templates" });
            await refresh();
          }}
        >
          <p>With all its builds and tags. Sandboxes that were made from it go on. No more can be made from it.</p>
        </Confirm>
      )}
    </>
  );
}

import { useCallback, useState } from "react";
import { api, credentials, type Page as PageOf, page, refusal, type Schemas } from "../../api/client";
import { save } from "../../api/files";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button, Choice, SearchField } from "../../ui/controls";
import { Ago } from "../../ui/format";
import { Empty, useAct } from "../../ui/notes";
import { List } from "../../ui/table";

type Entry = Schemas["AuditEntry"];
type Outcome = Entry["outcome"];

const outcomes: Record<Outcome, string> = { success: "state ok", denied: "state busy", failure: "state bad" };

interface AuditProps {
  /** Of all teams, for admins of the installation. */
  everywhere?: boolean;
}

export function AuditPage({ everywhere }: AuditProps) {
  const { team } = useSession();
  const [action, setAction] = useState("");
  const [resource, setResource] = useState("");
  const [outcome, setOutcome] = useState("");
  const applyAction = useCallback((text: string) => setAction(text), []);
  const applyResource = useCallback((text: string) => setResource(text), []);
  const act = useAct();
  const filter = {
    action: action || undefined,
    resource: resource || undefined,
    outcome: (outcome || undefined) as Outcome | undefined,
  };
  const load = (nextToken: string | undefined): Promise<PageOf<Entry>> => {
    const params = { query: { ...filter, nextToken, limit: 50 } };
    return page<Entry>((everywhere ? api.GET("/admin/audit", { params }) : api.GET("/audit", { params })) as never);
  };
  const download = async () => {
    const query = new URLSearchParams({ format: "csv" });
    for (const [name, value] of Object.entries(filter)) if (value !== undefined) query.set(name, value);
    const response = await fetch(`${everywhere ? "/admin/audit" : "/audit"}?${query}`, {
      headers: { "X-Team-ID": credentials.team },
    });
    if (!response.ok) throw refusal(response, await response.json());
    save(await response.blob(), "audit.csv");
  };
  return (
    <Page
      title={everywhere ? "Audit log of all teams" : "Audit log"}
      actions={<Button onClick={() => act(download)}>Download as CSV</Button>}
    >
      <search className="filters">
        <SearchField
          label="Action"
          placeholder="Action, such as sandbox.delete"
          value={action}
          onChange={applyAction}
        />
        <SearchField label="Of" placeholder="ID of what it was done to" value={resource} onChange={applyResource} />
        <Choice
          label="Outcome"
          bare
          value={outcome}
          options={[
            ["", "Any outcome"],
            ["success", "Success"],
            ["denied", "Denied"],
            ["failure", "Failure"],
          ]}
          onChange={setOutcome}
        />
      </search>
      <List
        label="Audit log"
        queryKey={["audit", everywhere ? "all" : team.teamID, action, resource, outcome]}
        load={load}
        keyOf={(entry) => String(entry.id)}
        empty={
          <Empty title="No entries">
            <p>Each change, sign-in and refusal is written here.</p>
          </Empty>
        }
        columns={[
          { title: "When", cell: (entry) => <Ago time={entry.at} /> },
          {
            title: "Who",
            cell: (entry) => (
              <div className="ellipsis" title={`${entry.actor.kind} ${entry.actor.id}`}>
                {entry.actor.name || entry.actor.kind}
              </div>
            ),
          },
          { title: "Action", cell: (entry) => <span className="mono">{entry.action}</span> },
          {
            title: "Of",
            wide: true,
            cell: (entry) => <div className="mono ellipsis">{entry.resource.id}</div>,
          },
          {
            title: "Outcome",
            cell: (entry) => <span className={outcomes[entry.outcome]}>{entry.outcome}</span>,
          },
          { title: "From", wide: true, cell: (entry) => <span className="mono">{entry.address}</span> },
          {
            title: "Request",
            wide: true,
            cell: (entry) => <div className="mono ellipsis">{entry.requestID}</div>,
          },
        ]}
      />
    </Page>
  );
}

export function AllAuditPage() {
  return <AuditPage everywhere />;
}

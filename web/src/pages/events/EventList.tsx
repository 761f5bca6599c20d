import { Link } from "@tanstack/react-router";
import { useCallback, useState } from "react";
import { api, page, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { SearchField } from "../../ui/controls";
import { Ago } from "../../ui/format";
import { Empty } from "../../ui/notes";
import { List } from "../../ui/table";

type Event = Schemas["Event"];

export function EventsPage() {
  return (
    <Page title="Events">
      <EventList />
    </Page>
  );
}

/** What has happened to a sandbox or, without one, to all that is the team's. */
export function EventList({ sandboxID }: { sandboxID?: string }) {
  const { team } = useSession();
  const [type, setType] = useState("");
  const applyType = useCallback((text: string) => setType(text), []);
  return (
    <div className="stack">
      <search className="filters">
        <SearchField label="Type" placeholder="Type, such as sandbox.*" value={type} onChange={applyType} />
      </search>
      <List
        label="Events"
        queryKey={["events", team.teamID, sandboxID ?? "", type]}
        load={(nextToken) =>
          page(
            api.GET("/events", {
              params: {
                query: { sandboxID, type: type === "" ? undefined : type.split(/[ ,]+/), limit: 50, nextToken },
              },
            }) as never,
          )
        }
        keyOf={(event: Event) => String(event.id)}
        empty={
          <Empty title="No events">
            <p>What happens appears here at once, the oldest first.</p>
          </Empty>
        }
        columns={[
          { title: "When", cell: (event) => <Ago time={event.at} /> },
          { title: "Type", cell: (event) => <span className="mono">{event.type}</span> },
          {
            title: "Of",
            cell: (event) =>
              event.type.startsWith("sandbox.") ? (
                <Link className="mono" to="/app/sandboxes/$sandboxID" params={{ sandboxID: event.resourceID }}>
                  {event.resourceID}
                </Link>
              ) : (
                <span className="mono">{event.resourceID}</span>
              ),
          },
          {
            title: "Data",
            wide: true,
            cell: (event) => (
              <div className="mono ellipsis" title={JSON.stringify(event.data, null, 2)}>
                {Object.keys(event.data ?? {}).length === 0 ? "" : JSON.stringify(event.data)}
              </div>
            ),
          },
        ]}
      />
    </div>
  );
}

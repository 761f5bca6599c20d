import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useParams } from "@tanstack/react-router";
import { APIError, api, ok, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Copy } from "../../ui/controls";
import { Empty, ErrorNote, Loading } from "../../ui/notes";
import { Actions } from "./Actions";
import { SandboxState } from "./State";

export type SandboxDetail = Schemas["SandboxDetail"];

/** The sandbox of the page's address, kept true by events. */
export function useSandbox() {
  const { sandboxID } = useParams({ from: "/app/sandboxes/$sandboxID" });
  const { team } = useSession();
  return useQuery({
    queryKey: ["sandboxes", team.teamID, "one", sandboxID],
    queryFn: () => ok(api.GET("/sandboxes/{sandboxID}", { params: { path: { sandboxID } } })),
  });
}

interface Tab {
  to:
    | "/app/sandboxes/$sandboxID"
    | "/app/sandboxes/$sandboxID/terminal"
    | "/app/sandboxes/$sandboxID/files"
    | "/app/sandboxes/$sandboxID/processes"
    | "/app/sandboxes/$sandboxID/metrics"
    | "/app/sandboxes/$sandboxID/logs"
    | "/app/sandboxes/$sandboxID/network"
    | "/app/sandboxes/$sandboxID/snapshots"
    | "/app/sandboxes/$sandboxID/events";
  title: string;
  /** Only for who may write sandboxes: the guest agent wants their token. */
  writers?: boolean;
}

const tabs: Tab[] = [
  { to: "/app/sandboxes/$sandboxID", title: "Overview" },
  { to: "/app/sandboxes/$sandboxID/terminal", title: "Terminal", writers: true },
  { to: "/app/sandboxes/$sandboxID/files", title: "Files", writers: true },
  { to: "/app/sandboxes/$sandboxID/processes", title: "Processes", writers: true },
  { to: "/app/sandboxes/$sandboxID/metrics", title: "Metrics" },
  { to: "/app/sandboxes/$sandboxID/logs", title: "Logs" },
  { to: "/app/sandboxes/$sandboxID/network", title: "Network" },
  { to: "/app/sandboxes/$sandboxID/snapshots", title: "Snapshots" },
  { to: "/app/sandboxes/$sandboxID/events", title: "Events" },
];

export function SandboxPage() {
  const { sandboxID } = useParams({ from: "/app/sandboxes/$sandboxID" });
  const { may } = useSession();
  const sandbox = useSandbox();
  const writer = may("sandbox:write");
  if (sandbox.isError && sandbox.error instanceof APIError && sandbox.error.status === 404) {
    return (
      <Page title={sandboxID}>
        <Empty title="This sandbox is gone">
          <p>It was killed, its time was over, or it belongs to another team.</p>
          <Link to="/app/sandboxes">All sandboxes</Link>
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      full
      title={sandboxID}
      heading={
        <span className="row">
          <Copy text={sandboxID} what="the sandbox's ID" />
          {sandbox.data !== undefined && <SandboxState sandbox={sandbox.data} />}
        </span>
      }
      actions={sandbox.data !== undefined && writer && <Actions sandbox={sandbox.data} />}
    >
      <nav className="tabs" aria-label="Of this sandbox">
        {tabs
          .filter((tab) => writer || !tab.writers)
          .map((tab) => (
            <Link
              key={tab.to}
              to={tab.to}
              params={{ sandboxID }}
              activeOptions={{ exact: true }}
              activeProps={{ className: "active" }}
            >
              {tab.title}
            </Link>
          ))}
      </nav>
      {sandbox.isPending && <Loading />}
      {sandbox.isError && <ErrorNote error={sandbox.error} retry={() => void sandbox.refetch()} />}
      {sandbox.data !== undefined && <Outlet />}
    </Page>
  );
}

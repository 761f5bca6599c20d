import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Navigate,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { isSignedOut } from "../api/client";
import {
  FirstAdmin,
  Invitation,
  LocalSignIn,
  PasswordForgotten,
  PasswordReset,
  SecondFactor,
  SignIn,
  Unreachable,
} from "../pages/entry";
import { EventsPage } from "../pages/events/EventList";
import { SandboxEvents } from "../pages/sandboxes/Events";
import { SandboxesPage, type SandboxSearch } from "../pages/sandboxes/List";
import { NetworkPage } from "../pages/sandboxes/Network";
import { Overview } from "../pages/sandboxes/Overview";
import { SandboxPage } from "../pages/sandboxes/Sandbox";
import { SandboxSnapshots } from "../pages/sandboxes/Snapshots";
import { SnapshotsPage } from "../pages/snapshots/SnapshotList";
import { Empty, Loading } from "../ui/notes";
import { Live } from "./live";
import { Shell } from "./Shell";
import { SessionProvider, useMe } from "./session";

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound });

function NotFound() {
  return (
    <Empty title="There is no such page">
      <a href="/app">Go to the sandboxes</a>
    </Empty>
  );
}

const entries = [
  createRoute({ getParentRoute: () => root, path: "/sign-in", component: SignIn }),
  createRoute({ getParentRoute: () => root, path: "/second-factor", component: SecondFactor }),
  createRoute({ getParentRoute: () => root, path: "/local", component: LocalSignIn }),
  createRoute({ getParentRoute: () => root, path: "/first-admin", component: FirstAdmin }),
  createRoute({ getParentRoute: () => root, path: "/password-forgotten", component: PasswordForgotten }),
  createRoute({ getParentRoute: () => root, path: "/password-reset", component: PasswordReset }),
  createRoute({ getParentRoute: () => root, path: "/invitation", component: Invitation }),
];

const index = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/app/sandboxes" });
  },
});

const inside = createRoute({ getParentRoute: () => root, path: "/app", component: Inside });

function Inside() {
  const me = useMe();
  if (me.data !== undefined) {
    return (
      <SessionProvider me={me.data}>
        <Live>
          <Shell />
        </Live>
      </SessionProvider>
    );
  }
  if (me.isPending) return <Loading />;
  if (isSignedOut(me.error)) {
    sessionStorage.setItem("wrenn.wanted", location.pathname + location.search);
    return <Navigate to="/sign-in" />;
  }
  return <Unreachable error={me.error} retry={() => void me.refetch()} />;
}

const home = createRoute({
  getParentRoute: () => inside,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/app/sandboxes" });
  },
});

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

const sandboxes = createRoute({
  getParentRoute: () => inside,
  path: "sandboxes",
  component: SandboxesPage,
  validateSearch: (search): SandboxSearch => ({
    state: text(search.state),
    template: text(search.template),
    metadata: text(search.metadata),
    order: search.order === "asc" ? "asc" : undefined,
  }),
});

const sandbox = createRoute({
  getParentRoute: () => inside,
  path: "sandboxes/$sandboxID",
  component: SandboxPage,
});

const sandboxTabs = [
  createRoute({ getParentRoute: () => sandbox, path: "/", component: Overview }),
  createRoute({
    getParentRoute: () => sandbox,
    path: "terminal",
    component: lazyRouteComponent(() => import("../pages/sandboxes/Terminal"), "TerminalPage"),
  }),
  createRoute({
    getParentRoute: () => sandbox,
    path: "files",
    component: lazyRouteComponent(() => import("../pages/sandboxes/Files"), "FilesPage"),
  }),
  createRoute({
    getParentRoute: () => sandbox,
    path: "processes",
    component: lazyRouteComponent(() => import("../pages/sandboxes/Processes"), "ProcessesPage"),
  }),
  createRoute({
    getParentRoute: () => sandbox,
    path: "metrics",
    component: lazyRouteComponent(() => import("../pages/sandboxes/Metrics"), "MetricsPage"),
  }),
  createRoute({
    getParentRoute: () => sandbox,
    path: "logs",
    component: lazyRouteComponent(() => import("../pages/sandboxes/Logs"), "LogsPage"),
  }),
  createRoute({ getParentRoute: () => sandbox, path: "network", component: NetworkPage }),
  createRoute({ getParentRoute: () => sandbox, path: "snapshots", component: SandboxSnapshots }),
  createRoute({ getParentRoute: () => sandbox, path: "events", component: SandboxEvents }),
];

const snapshots = createRoute({ getParentRoute: () => inside, path: "snapshots", component: SnapshotsPage });
const events = createRoute({ getParentRoute: () => inside, path: "events", component: EventsPage });

const templates = createRoute({
  getParentRoute: () => inside,
  path: "templates",
  component: lazyRouteComponent(() => import("../pages/templates/Templates"), "TemplatesPage"),
});
const template = createRoute({
  getParentRoute: () => inside,
  path: "templates/$templateID",
  component: lazyRouteComponent(() => import("../pages/templates/Template"), "TemplatePage"),
});
const build = createRoute({
  getParentRoute: () => inside,
  path: "templates/$templateID/builds/$buildID",
  component: lazyRouteComponent(() => import("../pages/templates/BuildPage"), "BuildPage"),
});

const others = [
  createRoute({
    getParentRoute: () => inside,
    path: "volumes",
    component: lazyRouteComponent(() => import("../pages/team/Volumes"), "VolumesPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "secrets",
    component: lazyRouteComponent(() => import("../pages/team/Secrets"), "SecretsPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "team",
    component: lazyRouteComponent(() => import("../pages/team/Settings"), "TeamSettingsPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "members",
    component: lazyRouteComponent(() => import("../pages/team/Members"), "MembersPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "keys",
    component: lazyRouteComponent(() => import("../pages/team/Keys"), "KeysPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "channels",
    component: lazyRouteComponent(() => import("../pages/team/Channels"), "ChannelsPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "usage",
    component: lazyRouteComponent(() => import("../pages/team/Usage"), "UsagePage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "audit",
    component: lazyRouteComponent(() => import("../pages/team/Audit"), "AuditPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "account",
    component: lazyRouteComponent(() => import("../pages/account/Account"), "AccountPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "admin/hosts",
    component: lazyRouteComponent(() => import("../pages/admin/Hosts"), "HostsPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "admin/users",
    component: lazyRouteComponent(() => import("../pages/admin/Users"), "UsersPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "admin/audit",
    component: lazyRouteComponent(() => import("../pages/team/Audit"), "AllAuditPage"),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: "admin/installation",
    component: lazyRouteComponent(() => import("../pages/admin/Installation"), "InstallationPage"),
  }),
];

const tree = root.addChildren([
  ...entries,
  index,
  inside.addChildren([
    home,
    sandboxes,
    sandbox.addChildren(sandboxTabs),
    snapshots,
    events,
    templates,
    template,
    build,
    ...others,
  ]),
]);

export const router = createRouter({ routeTree: tree, scrollRestoration: true });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

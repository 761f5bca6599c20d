import { createRootRoute, createRoute, createRouter, Navigate, Outlet, redirect } from "@tanstack/react-router";
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
import { SandboxesPage, type SandboxSearch } from "../pages/sandboxes/List";
import { Overview } from "../pages/sandboxes/Overview";
import { SandboxPage } from "../pages/sandboxes/Sandbox";
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

const sandboxTabs = [createRoute({ getParentRoute: () => sandbox, path: "/", component: Overview })];

const tree = root.addChildren([
  ...entries,
  index,
  inside.addChildren([home, sandboxes, sandbox.addChildren(sandboxTabs)]),
]);

export const router = createRouter({ routeTree: tree, scrollRestoration: true });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

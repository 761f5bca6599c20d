import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, ok } from "../api/client";
import { Button, Choice } from "../ui/controls";
import { useAct } from "../ui/notes";
import { useLive } from "./live";
import { Shortcuts } from "./Shortcuts";
import { useSession } from "./session";
import { useTheme } from "./theme";

interface Place {
  to: string;
  title: string;
  permission?: string;
}

const places: [heading: string, places: Place[]][] = [
  [
    "Run",
    [
      { to: "/app/sandboxes", title: "Sandboxes", permission: "sandbox:read" },
      { to: "/app/templates", title: "Templates", permission: "template:read" },
      { to: "/app/snapshots", title: "Snapshots", permission: "sandbox:read" },
      { to: "/app/volumes", title: "Volumes", permission: "volume:read" },
      { to: "/app/secrets", title: "Secrets", permission: "secret:read" },
    ],
  ],
  [
    "Team",
    [
      { to: "/app/team", title: "Team", permission: "team:read" },
      { to: "/app/members", title: "Members", permission: "member:read" },
      { to: "/app/keys", title: "API keys", permission: "key:read" },
      { to: "/app/channels", title: "Channels", permission: "channel:read" },
      { to: "/app/usage", title: "Usage", permission: "usage:read" },
      { to: "/app/events", title: "Events", permission: "event:read" },
      { to: "/app/audit", title: "Audit log", permission: "audit:read" },
    ],
  ],
];

/** For admins of the installation. */
const adminPlaces: Place[] = [
  { to: "/app/admin/hosts", title: "Hosts" },
  { to: "/app/admin/users", title: "Users" },
  { to: "/app/admin/audit", title: "Audit log of all" },
  { to: "/app/admin/installation", title: "Health" },
];

export function Shell() {
  const { me, team, may, chooseTeam } = useSession();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const [open, setOpen] = useState("");
  const shown = open === path;
  const groups = me.platformAdmin ? [...places, ["Installation", adminPlaces] satisfies [string, Place[]]] : places;
  useEffect(() => {
    document.title = "Wrenn";
  }, []);
  return (
    <div className={shown ? "shell open" : "shell"}>
      <a className="skip button" href="#main">
        Skip to the page
      </a>
      <header className="topbar">
        <Brand />
        <Button aria-expanded={shown} aria-controls="sidebar" onClick={() => setOpen(shown ? "" : path)}>
          Menu
        </Button>
      </header>
      <aside className="sidebar" id="sidebar" aria-label="Wrenn">
        <Brand />
        {me.teams.length > 1 && (
          <Choice
            label="Team"
            value={team.teamID}
            options={me.teams.map((one) => [one.teamID, one.name])}
            onChange={chooseTeam}
            bare
          />
        )}
        {groups.map(([heading, group]) => (
          <nav key={heading} aria-label={heading}>
            <h2>{heading}</h2>
            <ul>
              {group
                .filter((place) => place.permission === undefined || may(place.permission))
                .map((place) => (
                  <li key={place.to}>
                    <Link to={place.to} activeProps={{ className: "active" }}>
                      {place.title}
                    </Link>
                  </li>
                ))}
            </ul>
          </nav>
        ))}
        <Foot />
      </aside>
      <main className="main" id="main" tabIndex={-1}>
        <Outlet />
      </main>
      <Shortcuts />
    </div>
  );
}

function Brand() {
  return (
    <Link to="/app" className="brand">
      <img src="/app/icon.svg" alt="" />
      Wrenn
    </Link>
  );
}

function Foot() {
  const { me, team } = useSession();
  const live = useLive();
  const { theme, next } = useTheme();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const act = useAct();
  const leave = async () => {
    await ok(api.POST("/auth/logout"));
    queries.clear();
    await navigate({ to: "/sign-in" });
  };
  return (
    <div className="foot">
      <span className={live ? "state ok" : "state busy"} role="status">
        {live ? "Live" : "Connecting…"}
      </span>
      <div className="row">
        <Button small onClick={next} title="Light, dark, or as the system is">
          Theme: {theme}
        </Button>
        <a className="button small" href="/docs">
          API
        </a>
      </div>
      <div>
        <Link className="ellipsis" to="/app/account" title={`Your account, ${me.email}`}>
          {me.name}
        </Link>
        <div className="muted ellipsis">
          {team.role} of {team.name}
        </div>
      </div>
      <Button small onClick={() => act(leave)}>
        Sign out
      </Button>
    </div>
  );
}

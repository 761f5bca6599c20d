import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useMemo, useState } from "react";
import { api, credentials, ok, type Schemas } from "../api/client";

export type Me = Schemas["Me"];
export type Membership = Schemas["Membership"];

/** Who is signed in, and the team that the pages show. */
export interface Session {
  me: Me;
  team: Membership;
  chooseTeam: (teamID: string) => void;
  /** Whether the user's role in the team has a permission, such as sandbox:write. */
  may: (permission: string) => boolean;
}

const teamKey = "wrenn.team";
const SessionContext = createContext<Session | null>(null);

export async function loadSession(): Promise<Me> {
  const me = await ok(api.GET("/auth/session"));
  credentials.csrf = me.csrfToken ?? "";
  return me;
}

export function useMe() {
  return useQuery({ queryKey: ["session"], queryFn: loadSession, staleTime: 60_000, retry: false });
}

export function SessionProvider({ me, children }: { me: Me; children: ReactNode }) {
  const queries = useQueryClient();
  const [wanted, setWanted] = useState(() => localStorage.getItem(teamKey) ?? "");
  const team = me.teams.find((one) => one.teamID === wanted) ?? me.teams[0];
  const session = useMemo<Session | null>(() => {
    if (team === undefined) return null;
    credentials.team = team.teamID;
    return {
      me,
      team,
      chooseTeam: (teamID) => {
        localStorage.setItem(teamKey, teamID);
        credentials.team = teamID;
        queries.removeQueries({ predicate: (query) => query.queryKey[0] !== "session" });
        setWanted(teamID);
      },
      may: (permission) => team.permissions.includes(permission),
    };
  }, [me, team, queries]);
  if (session === null) return <NoTeam />;
  return <SessionContext value={session}>{children}</SessionContext>;
}

function NoTeam() {
  return (
    <main className="entry">
      <div className="card">
        <h1>You are in no team</h1>
        <p className="muted">
          Ask an owner of a team to invite you, or create a team of your own with <code>POST /teams</code>.
        </p>
      </div>
    </main>
  );
}

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error("useSession is called outside of SessionProvider");
  return session;
}

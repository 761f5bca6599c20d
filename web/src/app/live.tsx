import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { type Event, follow } from "../api/events";
import { useSession } from "./session";

const LiveContext = createContext(false);

/** Which queries each kind of event makes out of date, by their first keys. */
const kinds: Record<string, string[]> = {
  sandbox: ["sandboxes", "snapshots", "usage", "hosts"],
  template: ["templates", "snapshots"],
  build: ["templates", "builds"],
  snapshot: ["snapshots", "templates"],
  volume: ["volumes"],
  secret: ["secrets"],
  channel: ["channels"],
  key: ["keys"],
  member: ["members", "session"],
  invitation: ["members"],
  team: ["members", "session", "teams"],
  user: ["members", "users"],
  host: ["hosts"],
};

type Listener = (event: Event) => void;
const listeners = new Set<Listener>();

/** Calls back at each event of the team. */
export function useEvents(listener: Listener): void {
  useEffect(() => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, [listener]);
}

/** Follows the team's events, and marks what they are about as out of date. */
export function Live({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const { team } = useSession();
  const [live, setLive] = useState(false);
  useEffect(() => {
    const control = new AbortController();
    const stale = new Set<string>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refresh = () => {
      timer = undefined;
      queries.invalidateQueries({ predicate: (query) => stale.has(String(query.queryKey[0])) });
      stale.clear();
    };
    void follow({
      url: "/events",
      team: team.teamID,
      signal: control.signal,
      onLive: setLive,
      // A file that is being edited is not read again: what was typed would be lost.
      onMissed: () => void queries.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "file" }),
      onEvent: (event) => {
        for (const listener of listeners) listener(event);
        stale.add("events");
        for (const key of kinds[event.type.split(".")[0] ?? ""] ?? []) stale.add(key);
        timer ??= setTimeout(refresh, 100);
      },
    });
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [queries, team.teamID]);
  return <LiveContext value={live}>{children}</LiveContext>;
}

export function useLive(): boolean {
  return useContext(LiveContext);
}

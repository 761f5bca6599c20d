import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { pause } from "../../api/events";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button } from "../../ui/controls";
import { Confirm } from "../../ui/dialog";
import { ErrorNote, Loading, messageOf } from "../../ui/notes";
import { BuildStatus } from "./Status";
import "./build.css";

type Info = Schemas["TemplateBuildInfo"];
type Line = Schemas["BuildLogEntry"];

/** The log of a build grows without events. */
const askEvery = 1000;
const pageSize = 100;

/** Follows a build's log from its first line. */
function useBuild(templateID: string, buildID: string) {
  const [lines, setLines] = useState<Line[]>([]);
  const [info, setInfo] = useState<Info | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    const control = new AbortController();
    const { signal } = control;
    const follow = async () => {
      let offset = 0;
      while (!signal.aborted) {
        try {
          const next = await ok(
            api.GET("/templates/{templateID}/builds/{buildID}/status", {
              params: { path: { templateID, buildID }, query: { logsOffset: offset, limit: pageSize } },
              signal,
            }),
          );
          offset += next.logEntries.length;
          setLines((before) => (offset === next.logEntries.length ? next.logEntries : [...before, ...next.logEntries]));
          setInfo(next);
          setError(null);
          if (next.logEntries.length === pageSize) continue;
          if (next.status === "ready" || next.status === "error") return;
        } catch (failure) {
          if (signal.aborted) return;
          setError(failure);
        }
        await pause(askEvery, signal);
      }
    };
    void follow();
    return () => control.abort();
  }, [templateID, buildID]);
  return { lines, info, error };
}

export function BuildPage() {
  const { templateID, buildID } = useParams({ from: "/app/templates/$templateID/builds/$buildID" });
  const { may, team } = useSession();
  const { lines, info, error } = useBuild(templateID, buildID);
  const [cancelling, setCancelling] = useState(false);
  const queries = useQueryClient();
  const template = useQuery({
    queryKey: ["templates", team.teamID, "one", templateID],
    queryFn: () => ok(api.GET("/templates/{templateID}", { params: { path: { templateID }, query: { limit: 1 } } })),
  });
  const name = template.data?.names[0] ?? templateID;
  const isOver = info?.status === "ready" || info?.status === "error";
  const place = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: scrolls when lines were added
  useEffect(() => {
    if (following.current) place.current?.scrollTo({ top: place.current.scrollHeight });
  }, [lines]);
  return (
    <Page
      full
      title={`Build of ${name}`}
      heading={
        <span className="row">
          <Link to="/app/templates/$templateID" params={{ templateID }}>
            {name}
          </Link>
          {info !== null && <BuildStatus status={info.status} />}
        </span>
      }
      actions={
        !isOver &&
        may("template:write") && (
          <Button kind="danger" onClick={() => setCancelling(true)}>
            Cancel the build
          </Button>
        )
      }
    >
      <div className="stack">
        <p className="muted">
          Build <span className="mono">{buildID}</span>
        </p>
        {error !== null && <ErrorNote error={error} />}
        {info?.reason !== undefined && info.status === "error" && <Failure reason={info.reason} />}
      </div>
      <section className="panel fill build-log">
        <header>
          <h2>Log</h2>
        </header>
        {info === null && error === null && <Loading />}
        <div
          className="lines"
          ref={place}
          role="log"
          aria-label="Log of the build"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: scrollable regions must be focusable (WCAG 2.1.1)
          tabIndex={0}
          onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
            following.current = scrollHeight - scrollTop - clientHeight < 40;
          }}
        >
          {lines.map((line, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: lines are only added at the end
            <div key={index} className={line.level === "error" ? "line bad" : "line"}>
              <span className="muted">{line.timestamp.slice(11, 19)}</span>
              <span className="muted step">{line.step === lines[index - 1]?.step ? "" : line.step}</span>
              <span className="text">{line.message}</span>
            </div>
          ))}
        </div>
      </section>
      {cancelling && (
        <Confirm
          title="Cancel the build?"
          action="Cancel the build"
          onClose={() => setCancelling(false)}
          onConfirm={async () => {
            await ok(
              api.POST("/templates/{templateID}/builds/{buildID}/cancel", {
                params: { path: { templateID, buildID } },
              }),
            );
            await queries.invalidateQueries({ queryKey: ["templates"] });
          }}
        >
          <p>Steps that are done are kept for the next build.</p>
        </Confirm>
      )}
    </Page>
  );
}

function Failure({ reason }: { reason: Schemas["BuildStatusReason"] }) {
  const step = reason.step === undefined ? "" : `Step ${reason.step}: `;
  return <ErrorNote error={new Error(step + messageOf(new Error(reason.message)))} />;
}

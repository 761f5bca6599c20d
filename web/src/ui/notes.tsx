import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { APIError } from "../api/client";
import { Button } from "./controls";

export function messageOf(error: unknown): string {
  if (error instanceof TypeError) return "The server cannot be reached.";
  return error instanceof Error ? error.message : String(error);
}

/** What the API said, and the request's ID to search the server's log for. */
export function ErrorNote({ error, retry }: { error: unknown; retry?: () => void }) {
  return (
    <div className="note error" role="alert">
      <div className="grow">
        {messageOf(error)}
        {error instanceof APIError && error.requestID !== "" && (
          <span className="request">
            Request <span className="mono">{error.requestID}</span>
          </span>
        )}
      </div>
      {retry !== undefined && (
        <Button small onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Loading() {
  return (
    <div className="empty" role="status">
      Loading…
    </div>
  );
}

interface Notice {
  id: number;
  text?: string;
  error?: unknown;
}

/** Shows a line that goes by itself; errors stay until they are dismissed. */
type Tell = (notice: { text: string } | { error: unknown }) => void;

const NoticeContext = createContext<Tell>(() => undefined);
const shownFor = 5000;
let lastNotice = 0;

export function Notices({ children }: { children: ReactNode }) {
  const [notices, setNotices] = useState<Notice[]>([]);
  const drop = useCallback((id: number) => setNotices((all) => all.filter((one) => one.id !== id)), []);
  const tell = useCallback<Tell>(
    (notice) => {
      const id = ++lastNotice;
      setNotices((all) => [...all.slice(-3), { id, ...notice }]);
      if (!("error" in notice)) setTimeout(() => drop(id), shownFor);
    },
    [drop],
  );
  const value = useMemo(() => tell, [tell]);
  return (
    <NoticeContext value={value}>
      {children}
      <div className="notices" aria-live="polite">
        {notices.map(({ id, text, error }) =>
          text !== undefined ? (
            <div key={id} className="note">
              {text}
            </div>
          ) : (
            <div key={id}>
              <ErrorNote error={error} />
              <Button small onClick={() => drop(id)}>
                Dismiss
              </Button>
            </div>
          ),
        )}
      </div>
    </NoticeContext>
  );
}

export function useTell(): Tell {
  return useContext(NoticeContext);
}

/** Returns a function that runs an action and shows its error as a notice. */
export function useAct(): (action: () => Promise<unknown>, done?: string) => Promise<void> {
  const tell = useTell();
  return useCallback(
    async (action, done) => {
      try {
        await action();
        if (done !== undefined) tell({ text: done });
      } catch (error) {
        tell({ error });
      }
    },
    [tell],
  );
}

import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Dialog } from "../ui/dialog";

/** Two keys, one after the other, that open a page. */
const jumps: Record<string, [to: string, title: string]> = {
  s: ["/app/sandboxes", "Sandboxes"],
  t: ["/app/templates", "Templates"],
  n: ["/app/snapshots", "Snapshots"],
  v: ["/app/volumes", "Volumes"],
  m: ["/app/members", "Members"],
  k: ["/app/keys", "API keys"],
  u: ["/app/usage", "Usage"],
  e: ["/app/events", "Events"],
  h: ["/app/admin/hosts", "Hosts, for admins"],
};

/** How long the second key may take. */
const patience = 1200;

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.closest(".xterm") !== null)
  );
}

/** Handles the keys that work on each page. */
export function Shortcuts() {
  const navigate = useNavigate();
  const [help, setHelp] = useState(false);
  const went = useRef(0);
  useEffect(() => {
    function press(event: KeyboardEvent) {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.composedPath()[0] ?? null)) return;
      if (document.querySelector("dialog[open]") !== null) return;
      const jump = jumps[event.key];
      if (jump !== undefined && event.timeStamp - went.current < patience) {
        event.preventDefault();
        void navigate({ to: jump[0] });
      } else if (event.key === "/") {
        const search = document.querySelector<HTMLInputElement>("[data-search]");
        if (search === null) return;
        event.preventDefault();
        search.focus();
        search.select();
      } else if (event.key === "c") {
        // Else the letter goes into the first field of the dialog that opens.
        event.preventDefault();
        document.querySelector<HTMLButtonElement>("[data-create]")?.click();
      } else if (event.key === "?") {
        event.preventDefault();
        setHelp(true);
      }
      went.current = event.key === "g" ? event.timeStamp : 0;
    }
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [navigate]);
  if (!help) return null;
  return (
    <Dialog title="Keyboard" narrow onClose={() => setHelp(false)}>
      <dl className="facts">
        <dt>
          <kbd>/</kbd>
        </dt>
        <dd>Search in this page's list</dd>
        <dt>
          <kbd>c</kbd>
        </dt>
        <dd>Create what this page lists</dd>
        {Object.entries(jumps).map(([key, [, title]]) => (
          <Jump key={key} letter={key} title={title} />
        ))}
        <dt>
          <kbd>?</kbd>
        </dt>
        <dd>This list</dd>
        <dt>
          <kbd>Esc</kbd>
        </dt>
        <dd>Close a dialog</dd>
      </dl>
    </Dialog>
  );
}

function Jump({ letter, title }: { letter: string; title: string }) {
  return (
    <>
      <dt>
        <kbd>g</kbd> <kbd>{letter}</kbd>
      </dt>
      <dd>{title}</dd>
    </>
  );
}

import { useCallback, useEffect, useRef, useState } from "react";
import type { Guest } from "../../api/connect";
import { listProcesses } from "../../api/process";
import { Button } from "../../ui/controls";
import { messageOf } from "../../ui/notes";
import { WithGuest } from "./guest";
import { openTerminal, type TerminalView } from "./terminalview";
import "./terminal.css";

/** Begins the tags of shells that this page has started, so that it finds them again. */
const tagPrefix = "wrenn-terminal-";

export function TerminalPage() {
  return <WithGuest>{(guest) => <Terminals key={guest.sandboxID} guest={guest} />}</WithGuest>;
}

interface Tab {
  tag: string;
  /** The shell's ID, where it ran before the page was opened. */
  pid?: number;
}

function newTag(): string {
  return tagPrefix + Date.now().toString(36);
}

function Terminals({ guest }: { guest: Guest }) {
  const [tabs, setTabs] = useState<Tab[]>([]);
  const [shown, setShown] = useState("");
  const open = useCallback(() => {
    const tag = newTag();
    setTabs((all) => [...all, { tag }]);
    setShown(tag);
  }, []);
  const close = (tag: string) => {
    const left = tabs.filter((tab) => tab.tag !== tag);
    setTabs(left);
    if (shown === tag) setShown(left.at(-1)?.tag ?? "");
  };
  const began = useRef(false);
  useEffect(() => {
    if (began.current) return;
    began.current = true;
    listProcesses(guest)
      .then((processes) => processes.flatMap(({ tag, pid }) => (tag?.startsWith(tagPrefix) ? [{ tag, pid }] : [])))
      .catch(() => [])
      .then((running) => {
        if (running.length === 0) return open();
        setTabs(running);
        setShown(running.at(-1)?.tag ?? "");
      });
  }, [guest, open]);
  return (
    <section className="panel fill terminals" aria-label="Terminals">
      <header>
        <div className="row" role="tablist" aria-label="Terminals">
          {tabs.map((tab, index) => (
            <Button
              key={tab.tag}
              small
              role="tab"
              aria-selected={tab.tag === shown}
              className={tab.tag === shown ? "current" : undefined}
              onClick={() => setShown(tab.tag)}
            >
              Shell {index + 1}
            </Button>
          ))}
        </div>
        <Button small onClick={open}>
          New terminal
        </Button>
        <span className="grow" />
        {shown !== "" && (
          <Button small kind="plain" onClick={() => close(shown)}>
            Close
          </Button>
        )}
      </header>
      {tabs.map((tab) => (
        <Shell key={tab.tag} guest={guest} tab={tab} visible={tab.tag === shown} onEnd={() => close(tab.tag)} />
      ))}
    </section>
  );
}

interface ShellProps {
  guest: Guest;
  tab: Tab;
  visible: boolean;
  onEnd: () => void;
}

function Shell({ guest, tab, visible, onEnd }: ShellProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<TerminalView | null>(null);
  const [status, setStatus] = useState("");
  const ended = useRef(onEnd);
  ended.current = onEnd;
  useEffect(() => {
    if (place.current === null) return;
    const control = new AbortController();
    openTerminal({
      place: place.current,
      guest,
      tag: tab.tag,
      pid: tab.pid,
      signal: control.signal,
      onStatus: setStatus,
      onEnd: () => ended.current(),
    }).then(
      (opened) => {
        view.current = opened;
      },
      (error) => setStatus(messageOf(error)),
    );
    return () => {
      control.abort();
      view.current = null;
    };
  }, [guest, tab]);
  useEffect(() => {
    if (visible) view.current?.show();
  }, [visible]);
  return (
    <div className="shell-frame" hidden={!visible}>
      {status !== "" && (
        <div className="note warning" role="status">
          {status}
        </div>
      )}
      <div className="shell-place" ref={place} />
    </div>
  );
}

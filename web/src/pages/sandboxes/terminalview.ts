import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { type Guest, StreamError } from "../../api/connect";
import { pause } from "../../api/events";
import { attach, resize, sendInput, startShell, type Watcher } from "../../api/process";
import { messageOf } from "../../ui/notes";
import { allowStyledSpans, withStyleSheets } from "./terminalstyles";

export interface TerminalView {
  /** Fits the terminal to its place and focuses it. */
  show: () => void;
}

interface Opening {
  place: HTMLElement;
  guest: Guest;
  tag: string;
  pid: number | undefined;
  signal: AbortSignal;
  /** What is wrong with the connection; "" while nothing is. */
  onStatus: (status: string) => void;
  onEnd: () => void;
}

allowStyledSpans();

const firstWait = 500;
const longestWait = 8000;

function themeOf(place: HTMLElement) {
  const style = getComputedStyle(place);
  return {
    background: style.backgroundColor,
    foreground: style.color,
    cursor: style.color,
    selectionBackground: style.getPropertyValue("--terminal-selection"),
  };
}

/** Opens a terminal at a place of the page, with a shell of the sandbox. */
export async function openTerminal(opening: Opening): Promise<TerminalView> {
  const { place, guest, signal } = opening;
  const terminal = new Terminal({
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
    fontSize: 13,
    scrollback: 10_000,
    minimumContrastRatio: 4.5,
    theme: themeOf(place),
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  withStyleSheets(() => terminal.open(place));
  fit.fit();
  const shell = new Shell(guest, opening);
  const observer = new ResizeObserver(() => place.offsetWidth > 0 && fit.fit());
  observer.observe(place);
  terminal.onData((text) => shell.type(text));
  terminal.onResize((size) => shell.resize(size));
  terminal.attachCustomKeyEventHandler((event) => {
    const copies = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "c" && terminal.hasSelection();
    if (copies && event.type === "keydown") {
      document.execCommand("copy");
      terminal.clearSelection();
    }
    return !copies;
  });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    terminal.dispose();
  });
  terminal.focus();
  void shell.follow(terminal);
  return {
    show: () => {
      fit.fit();
      terminal.focus();
    },
  };
}

/** One shell in the guest, to which the terminal connects again when it was interrupted. */
class Shell {
  private readonly guest: Guest;
  private readonly opening: Opening;
  private pid: number | undefined;
  private over = false;
  private typed: Promise<unknown> = Promise.resolve();
  private waiting = "";

  constructor(guest: Guest, opening: Opening) {
    this.guest = guest;
    this.opening = opening;
    this.pid = opening.pid;
  }

  /** Sends keys in their order; those that are typed meanwhile go together. */
  type(text: string): void {
    this.waiting += text;
    this.typed = this.typed.then(async () => {
      const next = this.waiting;
      this.waiting = "";
      if (next === "" || this.pid === undefined) return;
      try {
        await sendInput(this.guest, this.pid, new TextEncoder().encode(next));
      } catch (error) {
        if (!this.over) this.opening.onStatus(`What was typed did not arrive: ${messageOf(error)}`);
      }
    });
  }

  resize(size: { cols: number; rows: number }): void {
    if (this.pid !== undefined) resize(this.guest, this.pid, size).catch(() => undefined);
  }

  /** Follows the shell until it ends or the page goes. */
  async follow(terminal: Terminal): Promise<void> {
    const { tag, signal, onStatus, onEnd } = this.opening;
    const watcher: Watcher = {
      onStart: (pid) => {
        this.pid = pid;
        onStatus("");
        wait = firstWait;
      },
      onData: (bytes) => terminal.write(bytes),
      onEnd: () => {
        this.over = true;
      },
    };
    let wait = firstWait;
    while (!signal.aborted && !this.over) {
      try {
        if (this.pid === undefined) await startShell(this.guest, tag, sizeOf(terminal), watcher, signal);
        else {
          const following = attach(this.guest, this.pid, watcher, signal);
          this.redraw(terminal);
          await following;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (isGone(error)) this.over = true;
        else onStatus(`${messageOf(error)} Connecting again…`);
      }
      if (this.over) break;
      await pause(wait, signal);
      wait = Math.min(wait * 2, longestWait);
    }
    if (!signal.aborted) onEnd();
  }

  /** Has programs draw their screen again: they do when its size changes. */
  private redraw(terminal: Terminal): void {
    const size = sizeOf(terminal);
    this.resize({ cols: size.cols, rows: Math.max(1, size.rows - 1) });
    setTimeout(() => this.resize(size), 200);
  }
}

function sizeOf(terminal: Terminal) {
  return { cols: terminal.cols, rows: terminal.rows };
}

/** Whether an error says that the shell has ended meanwhile. */
function isGone(error: unknown): boolean {
  return error instanceof StreamError && error.code === "not_found";
}

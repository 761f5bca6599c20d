import { refusal, type Schemas } from "./client";

export type Event = Schemas["Event"];

interface Follow {
  url: string;
  team: string;
  signal: AbortSignal;
  onEvent: (event: Event) => void;
  /** Called at each change; true while the stream is open. */
  onLive: (live: boolean) => void;
  /** Called after the stream was interrupted and events may have been missed. */
  onMissed: () => void;
}

const firstWait = 500;
const longestWait = 15_000;

/**
 * Follows a stream of server-sent events until the signal, reconnecting after the last
 * event that was seen. It uses fetch: EventSource cannot name the team.
 */
export async function follow({ url, team, signal, onEvent, onLive, onMissed }: Follow): Promise<void> {
  let last = "";
  for (let wait = firstWait; !signal.aborted; wait = Math.min(wait * 2, longestWait)) {
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (team !== "") headers["X-Team-ID"] = team;
      if (last !== "") headers["Last-Event-ID"] = last;
      const response = await fetch(url, { headers, signal });
      if (!response.ok || response.body === null) throw refusal(response, await response.text());
      onLive(true);
      onMissed();
      wait = firstWait;
      for await (const message of messages(response.body)) {
        if (message.id !== "") last = message.id;
        if (message.event === "missed") onMissed();
        else if (message.data !== "") onEvent(JSON.parse(message.data) as Event);
      }
    } catch (error) {
      if (!signal.aborted) console.warn("events are interrupted", error);
    }
    onLive(false);
    await pause(wait, signal);
  }
}

export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

interface Message {
  id: string;
  event: string;
  data: string;
}

async function* messages(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Message> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      yield parse(rest.slice(0, end));
      rest = rest.slice(end + 2);
    }
  }
}

function parse(text: string): Message {
  const message: Message = { id: "", event: "", data: "" };
  for (const line of text.split("\n")) {
    const colon = line.indexOf(": ");
    const [name, value] = [line.slice(0, colon), line.slice(colon + 2)];
    if (name === "id" || name === "event" || name === "data") message[name] = value;
  }
  return message;
}

import { refusal } from "./client";

/** Where a sandbox's guest agent is reached, and what opens it. */
export interface Guest {
  sandboxID: string;
  url: string;
  headers: Record<string, string>;
}

/** The error with which a stream has ended; the code is one of Connect's. */
export class StreamError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message || code);
    this.code = code;
  }
}

/** The port of the guest agent in each sandbox. */
const agentPort = 49983;
const probeTimeout = 4000;
const reached = new Map<string, Promise<Guest>>();

/**
 * Finds the way to a sandbox's guest agent: its own host name or, where that cannot be
 * resolved here, the address of the API with headers that name the sandbox.
 */
export function guestOf(
  sandboxID: string,
  domain: string | null | undefined,
  token: string | undefined,
): Promise<Guest> {
  const key = `${sandboxID} ${token}`;
  const found = reached.get(key) ?? find(sandboxID, domain ?? location.host, token);
  reached.set(key, found);
  return found;
}

async function find(sandboxID: string, domain: string, token: string | undefined): Promise<Guest> {
  const headers: Record<string, string> = token === undefined ? {} : { "X-Access-Token": token };
  const url = `${location.protocol}//${agentPort}-${sandboxID}.${domain}`;
  try {
    await fetch(`${url}/health`, { signal: AbortSignal.timeout(probeTimeout) });
    return { sandboxID, url, headers };
  } catch {
    return {
      sandboxID,
      url: "",
      headers: { ...headers, "E2b-Sandbox-Id": sandboxID, "E2b-Sandbox-Port": String(agentPort) },
    };
  }
}

/** Calls a unary procedure of the guest agent. */
export async function call<T>(guest: Guest, procedure: string, message: object): Promise<T> {
  const response = await fetch(`${guest.url}/${procedure}`, {
    method: "POST",
    headers: { ...guest.headers, "Content-Type": "application/json", "Connect-Protocol-Version": "1" },
    body: JSON.stringify(message),
  });
  const body = await bodyOf(response);
  if (!response.ok) throw refusal(response, body);
  return body as T;
}

/** Asks the guest agent for something that is no procedure, such as a file. */
export async function request(guest: Guest, path: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(`${guest.url}${path}`, {
    ...init,
    headers: { ...guest.headers, ...(init.headers as Record<string, string> | undefined) },
  });
  if (!response.ok) throw refusal(response, await bodyOf(response));
  return response;
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const headLength = 5;
const endOfStream = 2;

/** Calls a procedure that answers with a stream, in Connect's JSON. */
export async function* stream<T>(
  guest: Guest,
  procedure: string,
  message: object,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const response = await fetch(`${guest.url}/${procedure}`, {
    method: "POST",
    headers: {
      ...guest.headers,
      "Content-Type": "application/connect+json",
      "Connect-Protocol-Version": "1",
      "Keepalive-Ping-Interval": "50",
    },
    body: envelope(message),
    signal,
  });
  if (!response.ok || response.body === null) throw refusal(response, await bodyOf(response));
  const decoder = new TextDecoder();
  for await (const [flags, payload] of envelopes(response.body.getReader())) {
    const content: unknown = JSON.parse(decoder.decode(payload) || "{}");
    if ((flags & endOfStream) === 0) {
      yield content as T;
      continue;
    }
    const { error } = content as { error?: { message?: string; code?: string } };
    if (error !== undefined) throw new StreamError(error.code ?? "unknown", error.message ?? "");
    return;
  }
  throw new Error("The connection to the sandbox has ended.");
}

function envelope(message: object): Uint8Array<ArrayBuffer> {
  const payload = new TextEncoder().encode(JSON.stringify(message));
  const framed = new Uint8Array(headLength + payload.length);
  new DataView(framed.buffer).setUint32(1, payload.length);
  framed.set(payload, headLength);
  return framed;
}

async function* envelopes(
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<[flags: number, payload: Uint8Array]> {
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(rest.length + value.length);
    joined.set(rest);
    joined.set(value, rest.length);
    rest = joined;
    for (;;) {
      if (rest.length < headLength) break;
      const length = new DataView(rest.buffer, rest.byteOffset).getUint32(1);
      if (rest.length < headLength + length) break;
      yield [rest[0] ?? 0, rest.subarray(headLength, headLength + length)];
      rest = rest.slice(headLength + length);
    }
  }
}

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// What the cases share: a sandbox for each file, polling, and a way to reach a
// sandbox's port by its host name without a resolver for that name.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Sandbox, type SandboxOpts } from "e2b";

/** apiUrl is where this Wrenn listens, for the API and for all sandboxes. */
export const apiUrl = new URL(requiredEnvironment("E2B_API_URL"));

export function requiredEnvironment(name: string): string {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run these tests through "go test ./test/e2e/..."`);
  return value;
}

/**
 * sharedSandbox makes one sandbox before a file's cases, prepares it, and kills
 * it after. It may be called once a file: hooks of one level do not wait for
 * each other.
 */
export function sharedSandbox(
  options: SandboxOpts = {},
  prepare: (sandbox: Sandbox) => Promise<void> = async () => undefined,
): () => Sandbox {
  let sandbox: Sandbox | undefined;
  before(async () => {
    sandbox = await Sandbox.create({ timeoutMs: 300_000, ...options });
    await prepare(sandbox);
  });
  after(async () => {
    await sandbox?.kill();
  });
  return () => {
    assert.ok(sandbox, "the shared sandbox was not created");
    return sandbox;
  };
}

/** withSandbox gives one case a sandbox of its own, killed in any event. */
export async function withSandbox(options: SandboxOpts, use: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  const sandbox = await Sandbox.create({ timeoutMs: 120_000, ...options });
  try {
    await use(sandbox);
  } finally {
    await sandbox.kill();
  }
}

/** eventually polls until check answers something other than undefined. */
export async function eventually<T>(
  what: string,
  check: () => T | undefined | Promise<T | undefined>,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value !== undefined) return value;
    assert.ok(Date.now() < deadline, `after ${timeoutMs} ms still waiting for ${what}`);
    await pause(50);
  }
}

/** requestHost starts a request to a port of a sandbox by its host name. */
export function requestHost(
  sandbox: Sandbox,
  port: number,
  path: string,
  options: http.RequestOptions = {},
): http.ClientRequest {
  return http.request({
    host: apiUrl.hostname,
    port: apiUrl.port,
    path,
    agent: false,
    ...options,
    headers: { ...options.headers, Host: sandbox.getHost(port) },
  });
}

export interface HostAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

/** fetchHost does a whole request to a port of a sandbox. */
export async function fetchHost(
  sandbox: Sandbox,
  port: number,
  path: string,
  options: http.RequestOptions & { body?: Buffer } = {},
): Promise<HostAnswer> {
  const { body, ...rest } = options;
  const request = requestHost(sandbox, port, path, rest);
  const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once("response", resolve).once("error", reject);
  });
  request.end(body);
  const response = await answered;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
}

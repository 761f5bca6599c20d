import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** What each request of the session carries beside its cookie. */
export const credentials: { csrf: string; team: string } = { csrf: "", team: "" };

const carry: Middleware = {
  onRequest({ request }) {
    if (credentials.csrf !== "" && request.method !== "GET") request.headers.set("X-CSRF-Token", credentials.csrf);
    if (credentials.team !== "" && !request.headers.has("X-Team-ID")) {
      request.headers.set("X-Team-ID", credentials.team);
    }
    return request;
  },
};

export const api = createClient<paths>({ baseUrl: "" });
api.use(carry);

/** A refusal of the API, in its own words. */
export class APIError extends Error {
  readonly status: number;
  readonly requestID: string;

  constructor(status: number, message: string, requestID: string) {
    super(message);
    this.status = status;
    this.requestID = requestID;
  }
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Returns the answer's body; throws an APIError where the request was refused. */
export async function ok<T>(pending: Promise<Answer<T>>): Promise<T> {
  return (await whole(pending)).data;
}

/** Is ok with the answer's headers. */
export async function whole<T>(pending: Promise<Answer<T>>): Promise<{ data: T; headers: Headers }> {
  const { data, error, response } = await pending;
  if (!response.ok) throw refusal(response, error);
  return { data: data as T, headers: response.headers };
}

/** One page of a list; next is "" on the last. */
export interface Page<T> {
  items: T[];
  next: string;
}

export async function page<T>(pending: Promise<Answer<T[]>>): Promise<Page<T>> {
  const { data, headers } = await whole(pending);
  return { items: data, next: headers.get("X-Next-Token") ?? "" };
}

export function refusal(response: Response, body: unknown): APIError {
  const message =
    typeof body === "object" && body !== null && "message" in body
      ? String(body.message)
      : typeof body === "string" && body !== ""
        ? body
        : `The server answered with status ${response.status}.`;
  return new APIError(response.status, message, response.headers.get("X-Request-ID") ?? "");
}

/** Whether an error means that there is no session, or no more. */
export function isSignedOut(error: unknown): boolean {
  return error instanceof APIError && error.status === 401;
}

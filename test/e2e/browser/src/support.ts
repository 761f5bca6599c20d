import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import assert from "node:assert/strict";
import { type BrowserContext, chromium, type Page } from "playwright-core";

export const url = required("WRENN_URL");
const dataDirectory = required("WRENN_DATA_DIR");
/** Where screenshots go; none are made without it. */
const artefacts = process.env.WRENN_TEST_ARTEFACTS ?? "";

function required(name: string): string {
  const value = process.env[name];
  assert.ok(value, `${name} is not set`);
  return value;
}

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface Visitor {
  page: Page;
  /** What the browser complained of, such as a break of the policy. */
  complaints: string[];
  leave: () => Promise<void>;
}

/** Opens a browser of its own, with a new profile. */
export async function visit(): Promise<Visitor> {
  const profile = await mkdtemp(join(tmpdir(), "wrenn-browser-"));
  const context: BrowserContext = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    headless: true,
    args: flags,
    viewport: { width: 1280, height: 800 },
    colorScheme: "light",
    // A colour that is half way to another has no contrast to judge.
    reducedMotion: "reduce",
  });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(60_000);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security Policy/.test(message.text())) complaints.push(message.text());
  });
  page.on("request", (request) => {
    const host = new URL(request.url()).hostname;
    if (!/(^|\.)localhost$/.test(host) && !/^(data|blob):/.test(request.url())) {
      complaints.push(`request to another origin: ${request.url()}`);
    }
  });
  return {
    page,
    complaints,
    leave: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** Makes a link that signs in, as wrenn up does. */
export async function localLink(): Promise<string> {
  const token = readFileSync(join(dataDirectory, "secrets", "admin-token"), "utf8").trim();
  const answer = await fetch(`${url}/auth/local/link`, { method: "POST", headers: { "X-Admin-Token": token } });
  assert.equal(answer.status, 201, await answer.clone().text());
  const link = new URL(((await answer.json()) as { url: string }).url);
  return url + link.pathname + link.hash;
}

/** The address of a link that was printed for the operator, the newest of its kind. */
export async function printedLink(page: string): Promise<string> {
  const pattern = new RegExp(`/${page}#token=[A-Za-z0-9_-]+`, "g");
  for (let tries = 0; tries < 100; tries++) {
    const found = readFileSync(join(dataDirectory, "secrets", "console"), "utf8").match(pattern)?.at(-1);
    if (found !== undefined) return url + found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no link to /${page} was printed within ten seconds`);
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Violation {
  id: string;
  nodes: { target: string[]; failureSummary: string }[];
}

/** Looks for barriers on a page, and takes pictures of it: light, dark and narrow. */
export async function inspect(page: Page, name: string): Promise<void> {
  const session = await page.context().newCDPSession(page);
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    // By the debugger: the page's policy lets no script in that is not its own.
    await session.send("Runtime.evaluate", { expression: axe });
    const run = await session.send("Runtime.evaluate", {
      expression: "axe.run(document).then((result) => JSON.stringify(result.violations))",
      awaitPromise: true,
      returnByValue: true,
    });
    const violations = JSON.parse(String(run.result.value)) as Violation[];
    const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target}: ${node.failureSummary}`).join("; ")}`);
    assert.deepEqual(told, [], `${name}, ${colorScheme}`);
    await picture(page, `${name}-${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  const size = page.viewportSize();
  await page.setViewportSize({ width: 390, height: 844 });
  const overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
  assert.equal(overflow, 0, `${name} is wider than a narrow screen`);
  await picture(page, `${name}-narrow`);
  if (size !== null) await page.setViewportSize(size);
  await session.detach();
}

async function picture(page: Page, name: string): Promise<void> {
  if (artefacts === "") return;
  await mkdir(artefacts, { recursive: true });
  await page.screenshot({ path: join(artefacts, `${name}.png`) });
}

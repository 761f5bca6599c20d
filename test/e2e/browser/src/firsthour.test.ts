// A person's first hour: one story, whose cases build on each other.
import assert from "node:assert/strict";
import { after, test as nodeTest } from "node:test";
import { inspect, localLink, printedLink, url, visit } from "./support.js";

const { page, complaints, leave } = await visit();
after(leave);

let failed = "";

/** Registers a case, which is not tried where one before it has failed. */
function test(name: string, run: () => void | Promise<void>): void {
  nodeTest(name, async () => {
    assert.equal(failed, "", "a case before this one has failed");
    failed = name;
    await run();
    failed = "";
  });
}

/** Emulated guests under load take their time. */
const slow = 180_000;
let sandboxID = "";

const heading = (name: string | RegExp) => page.getByRole("heading", { level: 1, name });
const button = (name: string | RegExp) => page.getByRole("button", { name });

async function open(tab: string): Promise<void> {
  await page.getByRole("navigation", { name: "Of this sandbox" }).getByRole("link", { name: tab, exact: true }).click();
}

test("signs in by the link of this machine", async () => {
  await page.goto(`${url}/`);
  await heading("Sign in").waitFor();
  await inspect(page, "sign-in");
  await page.goto(await localLink());
  await heading("Sandboxes").waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
});

test("creates a sandbox", async () => {
  await page.keyboard.press("c");
  const dialog = page.getByRole("dialog", { name: "Create sandbox" });
  await dialog.getByText("Environment and metadata").click();
  await dialog.getByLabel("Metadata").fill("story=first-hour");
  await inspect(page, "create");
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await page.waitForURL(/\/app\/sandboxes\/i[a-z0-9]+$/, { timeout: slow });
  sandboxID = page.url().split("/").at(-1) ?? "";
  await page.getByText("story=first-hour").waitFor();
  await inspect(page, "overview");
});

test("types in the terminal", async () => {
  await open("Terminal");
  const screen = page.locator(".xterm-rows");
  await screen.getByText(/\$/).first().waitFor({ timeout: slow });
  await page.keyboard.type("echo $((6 * 7)) > answer.txt; printf '\\033[38;2;9;120;9m%s\\033[0m\\n' forty-$(cat answer.txt)\n");
  await screen.getByText("forty-42").waitFor({ timeout: slow });
  await inspect(page, "terminal");
});

test("edits a file", async () => {
  await open("Files");
  await page.getByRole("button", { name: "answer.txt", exact: true }).click();
  const editor = page.getByRole("textbox", { name: "/home/user/answer.txt" });
  await editor.getByText("42").waitFor();
  await inspect(page, "editor");
  await editor.click();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("edited in the browser");
  await page.keyboard.press("Control+s");
  await page.getByText("Saved.").waitFor();
  await button("Back").click();
  await inspect(page, "files");
  await open("Terminal");
  await page.locator(".xterm-rows").getByText("forty-42").or(page.locator(".xterm-rows").getByText(/\$/)).first().waitFor();
  await page.keyboard.type("cat answer.txt; echo\n");
  await page.locator(".xterm-rows").getByText("edited in the browser").waitFor({ timeout: slow });
});

test("sees processes, metrics, the log and the network", async () => {
  await open("Processes");
  await page.getByRole("cell", { name: /bash/ }).first().waitFor({ timeout: slow });
  await inspect(page, "processes");
  await open("Metrics");
  await page.getByRole("region", { name: "CPU" }).waitFor({ timeout: slow });
  await inspect(page, "metrics");
  await open("Logs");
  await page.getByText("Sandbox started").waitFor();
  await inspect(page, "logs");
  await open("Network");
  await page.getByLabel("May connect to").fill("example.com");
  await page.getByLabel("May not connect to").fill("0.0.0.0/0");
  await button("Apply").click();
  await page.getByText("The policy applies to new connections.").waitFor();
  await inspect(page, "network");
});

test("pauses and resumes, without a reload", async () => {
  await open("Overview");
  await button("Pause").click();
  await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
  await page.getByText("Paused", { exact: true }).waitFor({ timeout: slow });
  await button("Resume").click();
  await page.getByText("Running", { exact: true }).waitFor({ timeout: slow });
  await open("Events");
  await page.getByText("sandbox.resumed").waitFor();
  await inspect(page, "events");
});

test("forks, and the fork has the file", async () => {
  await button("Fork").click();
  await page.getByRole("dialog").getByRole("button", { name: "Fork" }).click();
  await page.waitForURL((address) => /\/app\/sandboxes\/i[a-z0-9]+/.test(address.href) && !address.href.includes(sandboxID), { timeout: slow });
  await open("Files");
  await page.getByRole("button", { name: "answer.txt", exact: true }).click();
  await page.getByRole("textbox", { name: "/home/user/answer.txt" }).getByText("edited in the browser").waitFor();
  await button("Back").click();
  await button("Kill").click();
  await page.getByRole("dialog").getByRole("button", { name: /^Kill i/ }).click();
  await heading("Sandboxes").waitFor({ timeout: slow });
});

test("builds a template and watches it", async () => {
  await page.goto(`${url}/app/templates`);
  await button("Build template").click();
  const dialog = page.getByRole("dialog", { name: "Build template" });
  await dialog.getByLabel("Name").fill("first-hour");
  await dialog.getByLabel("From").selectOption("template");
  await dialog.getByLabel("Commands").fill("echo made-by-the-dashboard > /home/user/made");
  await dialog.getByRole("button", { name: "Start the build" }).click();
  await page.getByRole("log").waitFor();
  await page.getByText(/^(Ready|Failed)$/).waitFor({ timeout: 2 * slow });
  assert.equal(await page.getByText("Ready", { exact: true }).count(), 1, await page.getByRole("log").innerText());
  await inspect(page, "build");
});

test("each other page has no barrier", async () => {
  const pages: [path: string, title: string][] = [
    ["sandboxes", "Sandboxes"],
    ["templates", "Templates"],
    ["snapshots", "Snapshots"],
    ["volumes", "Volumes"],
    ["secrets", "Secrets"],
    ["team", "Team"],
    ["members", "Members"],
    ["keys", "API keys"],
    ["channels", "Channels"],
    ["usage", "Usage"],
    ["events", "Events"],
    ["audit", "Audit log"],
    ["account", "Your account"],
    ["admin/hosts", "Hosts"],
    ["admin/users", "Users"],
    ["admin/audit", "Audit log of all teams"],
    ["admin/installation", "Installation"],
  ];
  for (const [path, title] of pages) {
    await page.goto(`${url}/app/${path}`);
    await heading(title).waitFor();
    await page.getByText("Loading…").waitFor({ state: "detached" });
    await inspect(page, path.replace("/", "-"));
  }
});

test("goes by the keyboard", async () => {
  await page.goto(`${url}/app/members`);
  await heading("Members").waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await heading("Sandboxes").waitFor();
  await page.keyboard.press("/");
  assert.equal(await page.evaluate("document.activeElement.hasAttribute('data-search')"), true);
  await page.keyboard.press("Escape");
  await page.evaluate("document.activeElement.blur()");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await page.keyboard.press("Escape");
});

test("invites a viewer, who cannot kill", async () => {
  await page.goto(`${url}/app/members`);
  await button("Invite").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("E-mail address").fill("grace@example.com");
  await dialog.getByLabel("Role").selectOption("viewer");
  await dialog.getByRole("button", { name: "Invite" }).click();
  await page.getByRole("cell", { name: "grace@example.com" }).waitFor();

  const viewer = await visit();
  try {
    await viewer.page.goto(await printedLink("invitation"));
    await viewer.page.getByLabel("Name").fill("Grace");
    await viewer.page.getByLabel("Password").fill("correct horse battery");
    await viewer.page.getByRole("button", { name: "Make an account and join" }).click();
    await viewer.page.getByRole("heading", { level: 1, name: "Sandboxes" }).waitFor();
    await viewer.page.getByRole("link", { name: sandboxID }).click();
    await viewer.page.getByText("story=first-hour").waitFor();
    for (const name of ["Kill", "Pause", "Fork"]) {
      assert.equal(await viewer.page.getByRole("button", { name }).count(), 0, name);
    }
    assert.equal(await viewer.page.getByRole("link", { name: "Terminal" }).count(), 0);
    const refused = await viewer.page.evaluate(
      `fetch("/auth/session").then((answer) => answer.json()).then((me) =>
        fetch("/sandboxes/${sandboxID}", { method: "DELETE", headers: { "X-CSRF-Token": me.csrfToken, "X-Team-ID": me.teams[0].teamID } }))
        .then((answer) => answer.status)`,
    );
    assert.equal(refused, 403);
    assert.deepEqual(viewer.complaints, []);
  } finally {
    await viewer.leave();
  }
  await page.getByRole("cell", { name: "grace@example.com" }).waitFor();
});

test("kills by choosing, and the list shows it", async () => {
  await page.goto(`${url}/app/sandboxes`);
  await page.getByLabel(`Choose ${sandboxID}`).check();
  await button("Kill").click();
  const dialog = page.getByRole("dialog");
  assert.equal(await dialog.getByRole("button", { name: "Kill" }).isDisabled(), true);
  await dialog.getByLabel("Type kill 1 to confirm").fill("kill 1");
  await dialog.getByRole("button", { name: "Kill" }).click();
  await page.getByRole("link", { name: sandboxID }).waitFor({ state: "detached", timeout: slow });
});

test("the browser had nothing to complain of", () => {
  assert.deepEqual(complaints, []);
});

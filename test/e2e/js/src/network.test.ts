// Who may reach a sandbox, and what it may reach.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SandboxError } from "e2b";
import { eventually, fetchHost, withSandbox } from "./support.js";

const port = 8080;

/** hostEcho answers with the Host header that it sees. */
const hostEcho = `
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())
http.server.HTTPServer(("0.0.0.0", ${port}), Handler).serve_forever()
`;

test("what a sandbox may reach is told, changed and never shows a secret", async () => {
  const network = {
    allowOut: ["example.com"],
    denyOut: ["0.0.0.0/0"],
    rules: { "api.example.com": [{ transform: { headers: { Authorization: "Bearer secret" } } }] },
  };
  await withSandbox({ network }, async (sandbox) => {
    const told = (await sandbox.getInfo()).network;
    assert.deepEqual(told?.allowOut, network.allowOut);
    assert.deepEqual(told?.denyOut, network.denyOut);
    assert.deepEqual(Object.keys(told?.rules ?? {}), ["api.example.com"]);
    assert.ok(!JSON.stringify(told).includes("secret"));

    await sandbox.updateNetwork({ denyOut: ["8.8.8.0/24"] });
    const changed = (await sandbox.getInfo()).network;
    assert.deepEqual(changed?.denyOut, ["8.8.8.0/24"]);
    assert.equal(changed?.allowOut, undefined);
    assert.equal(changed?.rules, undefined);

    await sandbox.updateNetwork({ allowInternetAccess: false });
    assert.equal((await sandbox.getInfo()).allowInternetAccess, false);
    await assert.rejects(sandbox.updateNetwork({ allowOut: ["10.0.0.1"] }), SandboxError);
    assert.equal((await sandbox.commands.run("echo still here")).stdout, "still here\n");
  });
});

test("ports that are not public need the traffic token, and servers see the host name asked for", async () => {
  const network = { allowPublicTraffic: false, maskRequestHost: "app.test:${PORT}" };
  await withSandbox({ network }, async (sandbox) => {
    await sandbox.files.write("/tmp/server.py", hostEcho);
    await sandbox.commands.run("python3 /tmp/server.py", { background: true, timeoutMs: 0 });
    const token = sandbox.trafficAccessToken;
    assert.ok(token);
    const headers = { "e2b-traffic-access-token": token };
    const answer = await eventually("the server", async () => {
      const got = await fetchHost(sandbox, port, "/", { headers });
      return got.status === 200 ? got : undefined;
    });
    assert.equal(answer.body.toString(), `app.test:${port}`);
    assert.equal((await fetchHost(sandbox, port, "/")).status, 403);
    assert.equal((await fetchHost(sandbox, port, "/", { headers: { "e2b-traffic-access-token": `${token}0` } })).status, 403);
  });
});

test("traffic brings a sandbox back that asked for it", async () => {
  const lifecycle = { onTimeout: "pause", autoResume: true } as const;
  await withSandbox({ lifecycle }, async (sandbox) => {
    await sandbox.files.write("/tmp/server.py", hostEcho);
    await sandbox.commands.run("python3 /tmp/server.py", { background: true, timeoutMs: 0 });
    await eventually("the server", async () => ((await fetchHost(sandbox, port, "/")).status === 200 ? true : undefined));
    assert.deepEqual((await sandbox.getInfo()).lifecycle, { onTimeout: "pause", autoResume: true });

    await sandbox.setTimeout(0);
    await eventually("the sandbox to pause", async () => ((await sandbox.getInfo()).state === "paused" ? true : undefined));
    assert.equal(await sandbox.isRunning(), false, "to ask is not to resume");
    const answers = await Promise.all(Array.from({ length: 5 }, () => fetchHost(sandbox, port, "/")));
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200, 200]);
    const { endAt } = await sandbox.getInfo();
    assert.ok(endAt.getTime() - Date.now() > 60_000, "it has time to live again");
  });
});

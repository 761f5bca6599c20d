// Servers inside a sandbox, reached from outside by host name.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import http2 from "node:http2";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { apiUrl, eventually, fetchHost, requestHost, sharedSandbox } from "./support.js";

const port = 8080;
const websocketMagic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455, section 1.3

/** What runs inside: plain answers, an echo, slow chunks, a WebSocket echo. */
const server = `
import base64, hashlib, http.server, json, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, kind="text/plain"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/stream":
            self.stream()
        elif self.path == "/websocket":
            self.websocket()
        else:
            self.answer(json.dumps({"path": self.path, "headers": dict(self.headers)}).encode(), "application/json")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(3):
            event = b"data: %d\\n\\n" % number
            self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(event), event))
            time.sleep(0.4)
        self.wfile.write(b"0\\r\\n\\r\\n")

    def websocket(self):
        key = self.headers["Sec-WebSocket-Key"] + "${websocketMagic}"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                break
            mask = self.rfile.read(4)
            body = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(head[1] & 127)))
            self.wfile.write(bytes([0x81, len(body)]) + body)
        self.close_connection = True

http.server.ThreadingHTTPServer(("0.0.0.0", ${port}), Handler).serve_forever()
`;

const shared = sharedSandbox({}, async (sandbox) => {
  await sandbox.files.write("/tmp/server.py", server);
  await sandbox.commands.run("python3 /tmp/server.py", { background: true, timeoutMs: 0 });
  await eventually("the server to answer", async () =>
    (await fetchHost(sandbox, port, "/")).status === 200 ? true : undefined,
  );
});

test("a server is reached by its host name", async () => {
  const answer = await fetchHost(shared(), port, "/some/path?with=query");
  assert.equal(answer.status, 200);
  const seen = JSON.parse(answer.body.toString()) as { path: string; headers: Record<string, string> };
  assert.equal(seen.path, "/some/path?with=query");
  assert.equal(seen.headers["Host"], shared().getHost(port));
  const internal = Object.keys(seen.headers).filter((name) => name.toLowerCase().startsWith("wrenn-"));
  assert.deepEqual(internal, [], "headers between the parts of Wrenn reached the sandbox");
});

test("a server is reached by the two headers on the base URL", async () => {
  const answer = await fetch(new URL("/by-header", apiUrl), {
    headers: { "E2b-Sandbox-Id": shared().sandboxId, "E2b-Sandbox-Port": String(port) },
  });
  assert.equal(answer.status, 200);
  assert.equal(((await answer.json()) as { path: string }).path, "/by-header");
});

test("a megabyte goes in and comes back the same", async () => {
  const body = randomBytes(1 << 20);
  const answer = await fetchHost(shared(), port, "/", {
    method: "POST",
    headers: { "Content-Length": body.length },
    body,
  });
  assert.equal(answer.status, 200);
  assert.ok(answer.body.equals(body), `${answer.body.length} bytes came back, or others`);
});

test("chunks arrive when they are sent", async () => {
  const request = requestHost(shared(), port, "/stream").end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  assert.equal(response.headers["content-type"], "text/event-stream");
  const arrivals: { text: string; at: number }[] = [];
  for await (const chunk of response) arrivals.push({ text: String(chunk), at: Date.now() });
  assert.deepEqual(arrivals.map(({ text }) => text), ["data: 0\n\n", "data: 1\n\n", "data: 2\n\n"]);
  const spreadMs = (arrivals.at(-1)?.at ?? 0) - (arrivals[0]?.at ?? 0);
  assert.ok(spreadMs > 500, `all chunks came within ${spreadMs} ms`);
});

test("a WebSocket carries messages both ways", async () => {
  const key = randomBytes(16).toString("base64");
  const request = requestHost(shared(), port, "/websocket", {
    headers: { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key },
  }).end();
  const [response, socket] = (await once(request, "upgrade")) as [IncomingMessage, Duplex];
  assert.equal(response.statusCode, 101);
  const accept = createHash("sha1").update(key + websocketMagic).digest("base64");
  assert.equal(response.headers["sec-websocket-accept"], accept);
  for (const message of ["hello", "again"]) {
    socket.write(maskedTextFrame(message));
    const [echo] = (await once(socket, "data")) as [Buffer];
    assert.deepEqual(echo, Buffer.concat([Buffer.from([0x81, message.length]), Buffer.from(message)]));
  }
  socket.destroy();
});

/** maskedTextFrame is one short WebSocket message as a client sends it. */
function maskedTextFrame(text: string): Buffer {
  const mask = randomBytes(4);
  const body = Buffer.from(text).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return Buffer.concat([Buffer.from([0x81, 0x80 | body.length]), mask, body]);
}

test("HTTP/2 without TLS is spoken", async () => {
  const session = http2.connect(apiUrl);
  try {
    const stream = session.request({ ":path": "/two", ":authority": shared().getHost(port) });
    const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader];
    assert.equal(headers[":status"], 200);
    let body = "";
    for await (const chunk of stream) body += String(chunk);
    assert.equal((JSON.parse(body) as { path: string }).path, "/two");
  } finally {
    session.close();
  }
});

test("a port where nothing listens is a bad gateway that says so", async () => {
  const answer = await fetchHost(shared(), 9999, "/");
  assert.equal(answer.status, 502);
  const body = JSON.parse(answer.body.toString()) as { sandboxId: string; message: string; code: number; port: number };
  assert.equal(body.sandboxId, shared().sandboxId);
  assert.equal(body.code, 502);
  assert.equal(body.port, 9999);
  assert.ok(body.message.length > 0);
});

test("a server that listens on the guest's loopback only is reached too", async () => {
  await shared().commands.run("python3 -m http.server --bind 127.0.0.1 8081", {
    background: true,
    timeoutMs: 0,
    cwd: "/etc",
  });
  const answer = await eventually("the loopback server", async () => {
    const got = await fetchHost(shared(), 8081, "/hostname");
    return got.status === 200 ? got : undefined;
  });
  assert.ok(answer.body.length > 0);
});

test("the guest agent's port is closed to those without its token", async () => {
  const answer = await fetchHost(shared(), 49983, "/files?path=/etc/passwd");
  assert.equal(answer.status, 401);
  assert.ok(!answer.body.toString().includes("root:"));
});

// What is told of a sandbox: its metrics and its log.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Sandbox, SandboxNotFoundError } from "e2b";
import { apiUrl, eventually, requiredEnvironment, withSandbox } from "./support.js";

interface LogEntry {
  timestamp: string;
  message: string;
  level: string;
  fields: Record<string, string>;
}

async function logsOf(sandboxId: string, query = ""): Promise<LogEntry[]> {
  const answer = await fetch(new URL(`/v2/sandboxes/${sandboxId}/logs?${query}`, apiUrl), {
    headers: { "X-API-Key": requiredEnvironment("E2B_API_KEY") },
  });
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { logs: LogEntry[] }).logs;
}

test("metrics tell what a sandbox takes, and stay when it is paused", async () => {
  await withSandbox({}, async (sandbox) => {
    const metrics = await eventually(
      "metrics",
      async () => {
        const all = await sandbox.getMetrics();
        return all.length > 1 ? all : undefined;
      },
      30_000,
    );
    for (const metric of metrics) {
      assert.ok(metric.cpuCount >= 1 && metric.cpuUsedPct >= 0, `${metric.cpuUsedPct} % of ${metric.cpuCount} CPUs`);
      assert.ok(metric.memUsed > 0 && metric.memUsed <= metric.memTotal, `${metric.memUsed} of ${metric.memTotal} bytes`);
      assert.ok(metric.diskTotal > 0);
      assert.ok(Math.abs(metric.timestamp.getTime() - Date.now()) < 60_000, String(metric.timestamp));
    }
    await sandbox.pause();
    assert.ok((await Sandbox.getMetrics(sandbox.sandboxId)).length >= metrics.length);
    const longAgo = { start: new Date(Date.now() - 7_200_000), end: new Date(Date.now() - 3_600_000) };
    assert.deepEqual(await Sandbox.getMetrics(sandbox.sandboxId, longAgo), []);
  });
  await assert.rejects(Sandbox.getMetrics("i0123456789abcdefghi"), SandboxNotFoundError);
});

test("the log tells a sandbox's life, also when it is over", async () => {
  let sandboxId = "";
  await withSandbox({}, async (sandbox) => {
    sandboxId = sandbox.sandboxId;
    await sandbox.pause();
    await sandbox.connect();
  });
  const life = (await logsOf(sandboxId)).filter(({ fields }) => fields["source"] === "lifecycle");
  assert.deepEqual(
    life.map(({ message }) => message),
    ["Sandbox started", "Sandbox paused", "Sandbox resumed", "Sandbox ended"],
  );
  const last = await logsOf(sandboxId, "direction=backward&limit=1");
  assert.equal(last[0]?.message, "Sandbox ended");
  assert.deepEqual((await logsOf(sandboxId, "search=paused")).map(({ message }) => message), ["Sandbox paused"]);
});

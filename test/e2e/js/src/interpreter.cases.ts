// E2B's SDK of code interpreters, against the server of the template code-interpreter-v1:
// on this machine, or in a sandbox. INTERPRETER_TEMPLATE names the template of sandboxes;
// with E2B_DEBUG there is none, and the SDK calls the server at E2B_SANDBOX_URL.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Sandbox } from "@e2b/code-interpreter";

const debug = process.env["E2B_DEBUG"] === "true";
const charts = process.env["INTERPRETER_CHARTS"] === "true";
let sandbox: Sandbox;

before(async () => {
  sandbox = debug
    ? await Sandbox.create()
    : await Sandbox.create(process.env["INTERPRETER_TEMPLATE"] ?? "", { timeoutMs: 600_000, envs: { OF_SANDBOX: "given" } });
});
after(async () => {
  await sandbox.kill();
});

test("code keeps its state from run to run", async () => {
  await sandbox.runCode("x = 1");
  const execution = await sandbox.runCode("x += 1; x");
  assert.equal(execution.text, "2");
  assert.equal(execution.results[0]?.isMainResult, true);
  assert.equal(typeof execution.executionCount, "number");
});

test("output comes while the code runs", async () => {
  const heard: [string, number][] = [];
  await sandbox.runCode("import time\nfor i in range(3):\n    print(i, flush=True)\n    time.sleep(1)", {
    onStdout: (message) => void heard.push([message.line, Date.now()]),
  });
  assert.equal(heard.map(([line]) => line).join(""), "0\n1\n2\n");
  assert.ok((heard.at(-1)?.[1] ?? 0) - (heard[0]?.[1] ?? 0) > 900, JSON.stringify(heard));
  const errors: string[] = [];
  const execution = await sandbox.runCode("import sys; print('e', file=sys.stderr)", { onStderr: (message) => void errors.push(message.line) });
  assert.deepEqual([errors.join(""), execution.logs.stderr.join("")], ["e\n", "e\n"]);
});

test("an error has its name, value and traceback", async () => {
  const seen: string[] = [];
  const { error, results } = await sandbox.runCode("1/0", { onError: (error) => void seen.push(error.name) });
  assert.deepEqual([error?.name, error?.value, seen, results.length], ["ZeroDivisionError", "division by zero", ["ZeroDivisionError"], 0]);
  assert.match(error?.traceback ?? "", /1\/0|1.*\/.*0/);
});

test("a run has variables of its own", async () => {
  const show = "import os; os.environ.get('OF_RUN', 'none')";
  assert.equal((await sandbox.runCode(show, { envs: { OF_RUN: "it's" } })).text, '"it\'s"');
  assert.equal((await sandbox.runCode(show)).text, "none");
  if (!debug) {
    assert.equal((await sandbox.runCode("os.environ['OF_SANDBOX'] + ' ' + os.environ['E2B_SANDBOX_ID']")).text, `given ${sandbox.sandboxId}`);
  }
});

test("contexts are made, listed, restarted and removed", async () => {
  const context = await sandbox.createCodeContext({ cwd: "/tmp", language: "python" });
  assert.deepEqual([context.language, context.cwd], ["python", "/tmp"]);
  const listed = await sandbox.listCodeContexts();
  assert.deepEqual(listed.at(-1), context);
  for (const language of ["python", "javascript"]) assert.ok(listed.some((one) => one.language === language));
  assert.equal((await sandbox.runCode("import os; own = 1; os.getcwd()", { context })).text, "/tmp");
  assert.equal((await sandbox.runCode("own")).error?.name, "NameError");
  await sandbox.restartCodeContext(context);
  assert.equal((await sandbox.runCode("own", { context })).error?.name, "NameError");
  await sandbox.removeCodeContext(context.id);
  await assert.rejects(sandbox.runCode("1", { context }), /Context .* not found/);
  await assert.rejects(sandbox.restartCodeContext(context), /not found/);
});

test("other languages run", async () => {
  assert.equal((await sandbox.runCode("const a = 1; a + 1", { language: "js" })).text, "2");
  assert.equal((await sandbox.runCode("await Promise.resolve(`${a}!`)", { language: "javascript" })).text, "1!");
  assert.equal((await sandbox.runCode("echo $((6 * 7))", { language: "bash" })).logs.stdout.join(""), "42\n");
  assert.equal((await sandbox.runCode("exit_with() { return 3; }; exit_with", { language: "bash" })).error?.value, "3");
  await assert.rejects(sandbox.runCode("1", { language: "cobol" }), /400/);
});

test("code whose client gave up is interrupted", async () => {
  await sandbox.runCode("kept = 'here'");
  await assert.rejects(sandbox.runCode("import time; time.sleep(1000)", { timeoutMs: 1_000 }), { name: "TimeoutError" });
  const begun = Date.now();
  assert.equal((await sandbox.runCode("kept")).text, "here");
  assert.ok(Date.now() - begun < 30_000);
});

test("results have their formats", async () => {
  const { results } = await sandbox.runCode(
    "from IPython.display import *\ndisplay(Markdown('# a'), HTML('<b>'), Latex('$x$'), JSON({'a': [1]}))\n{'image/png': 'cG5n'}",
  );
  assert.deepEqual(
    results.map((one) => one.formats()),
    [["markdown"], ["html"], ["latex"], ["json"], []],
  );
  assert.deepEqual(results[3]?.json, { a: [1] });
});

test("figures have charts, and tables their data", { skip: charts ? false : "this template has no matplotlib" }, async () => {
  const { results } = await sandbox.runCode("import matplotlib.pyplot as plt\nplt.bar(['a', 'b'], [1, 2])\nplt.title('T')\nplt.show()");
  assert.deepEqual(Buffer.from(results[0]?.png ?? "", "base64").subarray(1, 4).toString(), "PNG");
  const chart = results[0]?.chart;
  assert.deepEqual([chart?.type, chart?.title, chart?.elements.length], ["bar", "T", 2]);
  const table = await sandbox.runCode("import pandas as pd\npd.DataFrame({'a': [1, 2]})");
  assert.deepEqual(table.results[0]?.data, { a: [1, 2] });
});

test("state outlives a pause, and a fork has it too", { skip: debug ? "there is no sandbox" : false }, async () => {
  await sandbox.runCode("state = ['before']");
  await sandbox.runCode("var state = 'before'", { language: "js" });
  await sandbox.pause();
  const resumed = await Sandbox.connect(sandbox.sandboxId);
  assert.equal((await resumed.runCode("state.append('after'); ' '.join(state)")).text, "before after");
  assert.equal((await resumed.runCode("state", { language: "js" })).text, "before");
  const [made] = await resumed.fork();
  assert.ok(made instanceof Sandbox, String(made));
  const fork = made;
  try {
    assert.equal((await fork.runCode("import os; ' '.join(state + [os.environ['E2B_SANDBOX_ID']])")).text, `before after ${fork.sandboxId}`);
    await fork.runCode("state.clear()");
    assert.equal((await resumed.runCode("len(state)")).text, "2");
  } finally {
    await fork.kill();
  }
});

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// patience is how long anything here may take; TestMain waits for no goroutine longer.
const patience = 60 * time.Second

// interpreter is a server under test, with the real Jupyter, bash and Node.js.
type interpreter struct {
	url, home string
	mu        sync.Mutex
	variables map[string]string
}

// setVariables sets what the guest agent tells.
func (i *interpreter) setVariables(variables map[string]string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.variables = variables
}

func (i *interpreter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	_ = json.NewEncoder(w).Encode(i.variables)
}

// startInterpreter starts one server; at the test's end it must leave nothing behind.
func startInterpreter(t *testing.T) *interpreter {
	t.Helper()
	before := goleak.IgnoreCurrent()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	i := &interpreter{url: "http://" + address, home: t.TempDir(), variables: map[string]string{}}
	agent := httptest.NewServer(i)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg := config{
		listen: address, directory: t.TempDir(), home: i.home, jupyter: "jupyter-server", python: "/usr/bin/python3",
		agent: agent.URL, contexts: 8,
	}
	go func() { ended <- run(ctx, cfg, log) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		agent.Close()
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, before)
	})
	require.Eventually(t, func() bool {
		response, err := http.Get(i.url + "/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, patience, 50*time.Millisecond, "the server becomes ready")
	return i
}

// line is one of an answer.
type line struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Main      bool            `json:"is_main_result"`
	Name      string          `json:"name"`
	Value     string          `json:"value"`
	Traceback string          `json:"traceback"`
	Count     int             `json:"execution_count"`
	PNG       string          `json:"png"`
	Data      json.RawMessage `json:"data"`
	Chart     json.RawMessage `json:"chart"`
}

// done is what code did.
type done struct {
	lines          []line
	stdout, stderr string
	result         *line // the main one
	failure        *line
}

func (i *interpreter) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, i.url+path, bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(request)
}

// call returns an answer's status and body.
func (i *interpreter) call(t *testing.T, method, path string, body any) (status int, text string) {
	t.Helper()
	response, err := i.send(t.Context(), method, path, body)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, strings.TrimSpace(string(content))
}

func (i *interpreter) run(t *testing.T, request map[string]any) done {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	response, err := i.send(ctx, http.MethodPost, "/execute", request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	var d done
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, 32<<20)
	for scanner.Scan() {
		var one line
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &one), scanner.Text())
		d.lines = append(d.lines, one)
		switch one.Type {
		case "stdout":
			d.stdout += one.Text
		case "stderr":
			d.stderr += one.Text
		case "error":
			d.failure = &one
		case "result":
			if one.Main {
				d.result = &one
			}
		}
	}
	require.NoError(t, scanner.Err())
	return d
}

// text runs code and returns its result, or what it printed.
func (i *interpreter) text(t *testing.T, language, code string) string {
	t.Helper()
	d := i.run(t, map[string]any{"code": code, "language": language})
	require.Nil(t, d.failure, "%s: %+v", code, d.failure)
	if d.result != nil {
		return d.result.Text
	}
	return strings.TrimSpace(d.stdout)
}

// leave runs code and leaves once it prints.
func (i *interpreter) leave(t *testing.T, language, code string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	response, err := i.send(ctx, http.MethodPost, "/execute", map[string]any{"code": code, "language": language})
	require.NoError(t, err)
	defer response.Body.Close()
	scanner := bufio.NewScanner(response.Body)
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), "begun") {
			return
		}
	}
	t.Fatalf("%s ended before it printed", code)
}

// TestInterpreter_RunsCode has everything in one server: Jupyter takes seconds to start.
func TestInterpreter_RunsCode(t *testing.T) {
	i := startInterpreter(t)
	t.Run("results, output and errors", i.testCode)
	t.Run("variables", i.testVariables)
	t.Run("clients that leave", i.testLeaving)
	t.Run("contexts", i.testContexts)
	t.Run("formats", i.testFormats)
	t.Run("charts", i.testCharts)
	t.Run("bad requests", i.testBadRequests)
	t.Run("much output", i.testMuch)
	t.Run("runs wait for each other", i.testTurns)
	t.Run("kernels that end", i.testEnds)
}

func (i *interpreter) testCode(t *testing.T) {
	cases := []struct{ language, code, stdout, stderr, result, failure string }{
		{language: "python", code: "x = 20\nprint('a')\nimport sys; print('b', file=sys.stderr)\nx + 1", stdout: "a\n", stderr: "b\n", result: "21"},
		{language: "python", code: "x", result: "20"},
		{language: "python", code: "1/0", failure: "ZeroDivisionError"},
		{language: "python", code: "input()", failure: "StdinNotImplementedError"},
		{language: "python", code: "%cd -q /\nimport os; os.getcwd()", result: "/"},
		{language: "python", code: "await __import__('asyncio').sleep(0, 'awaited')", result: "awaited"},
		{language: "", code: "x", result: "20"},
		{language: "bash", code: "x=5; cd /tmp; echo a; echo b >&2", stdout: "a\n", stderr: "b\n"},
		{language: "bash", code: "echo $x $PWD; read -r y; echo got $y", stdout: "5 /tmp\ngot\n"},
		{language: "bash", code: "it='a '\\''b'\nfor i in 1 2; do\n echo $i $it\ndone", stdout: "1 a 'b\n2 a 'b\n"},
		{language: "bash", code: "(exit 3)", failure: "ExitStatus"},
		{language: "bash", code: "if", failure: "ExitStatus"},
		{language: "javascript", code: "const a = 1; console.log('l'); console.error('e'); a + 1", stdout: "l\n", stderr: "e\n", result: "2"},
		{language: "js", code: "const a = 2; await new Promise(r => setTimeout(r, 1)); ({a, b: ['x']})", result: "{ a: 2, b: [ 'x' ] }"},
		{language: "js", code: "import os, { EOL as end } from 'os'\nimport * as path from 'node:path'\nimport 'fs'\n[os.EOL === end, path.sep, (await import('fs')).existsSync('/'), 'import(x)']", result: "[ true, '/', true, 'import(x)' ]"},
		{language: "js", code: "typeof os.EOL + require('path').sep", result: "string/"},
		{language: "js", code: "throw new TypeError('no')", failure: "TypeError"},
		{language: "js", code: "foo bar", failure: "SyntaxError"},
		{language: "js", code: "await Promise.reject(new RangeError('later'))", failure: "RangeError"},
		{language: "js", code: "undefined"},
	}
	for _, c := range cases {
		t.Run(c.language+" "+c.code, func(t *testing.T) {
			d := i.run(t, map[string]any{"code": c.code, "language": c.language})
			require.Equal(t, c.stdout, d.stdout)
			if c.language != "bash" || c.failure == "" {
				require.Equal(t, c.stderr, d.stderr)
			}
			if c.failure != "" {
				require.NotNil(t, d.failure)
				require.Equal(t, c.failure, d.failure.Name)
				return
			}
			require.Nil(t, d.failure)
			if c.result != "" {
				require.NotNil(t, d.result)
				require.Equal(t, c.result, d.result.Text)
			}
		})
	}
	d := i.run(t, map[string]any{"code": "def f():\n    raise ValueError('deep')\nf()"})
	require.Contains(t, d.failure.Traceback, "line 2", "lines are counted from the code's first")
	// Nothing that comes right after an error is skipped.
	for range 20 {
		require.NotNil(t, i.run(t, map[string]any{"code": "1/0"}).failure)
		require.Equal(t, "2", i.text(t, "python", "1 + 1"))
	}
	counts := []int{}
	for range 2 {
		counts = append(counts, i.run(t, map[string]any{"code": "1"}).lines[0].Count)
	}
	require.Equal(t, counts[0]+1, counts[1])
}

func (i *interpreter) testVariables(t *testing.T) {
	show := map[string]string{
		"python":     "import os; [os.environ.get(name) for name in ('OF_SANDBOX', 'OF_RUN')]",
		"bash":       "echo \"['$OF_SANDBOX', '$OF_RUN']\"",
		"javascript": "`['${process.env.OF_SANDBOX}', '${process.env.OF_RUN}']`",
	}
	none := map[string]string{"python": "None", "bash": "''", "javascript": "'undefined'"}
	for language, code := range show {
		t.Run(language, func(t *testing.T) {
			run := func(variables map[string]string) string {
				t.Helper()
				d := i.run(t, map[string]any{"code": code, "language": language, "env_vars": variables})
				if d.result != nil {
					return d.result.Text
				}
				return strings.TrimSpace(d.stdout)
			}
			i.setVariables(map[string]string{"OF_SANDBOX": "one", "not a name": "x"})
			require.Equal(t, fmt.Sprintf("['one', %s]", none[language]), run(nil))
			require.Equal(t, "['mine', 'it']", run(map[string]string{"OF_RUN": "it", "OF_SANDBOX": "mine"}))
			require.Equal(t, fmt.Sprintf("['one', %s]", none[language]), run(nil), "a run's variables go with it")
			i.setVariables(map[string]string{"OF_SANDBOX": "a fork"})
			require.Equal(t, fmt.Sprintf("['a fork', %s]", none[language]), run(nil))
			i.setVariables(nil)
			require.Equal(t, fmt.Sprintf("[%s, %s]", none[language], none[language]), run(nil))
		})
	}
	d := i.run(t, map[string]any{"code": "1/0", "env_vars": map[string]string{"OF_RUN": "x"}})
	require.Equal(t, "ZeroDivisionError", d.failure.Name)
	require.Equal(t, "gone", i.text(t, "python", "os.environ.get('OF_RUN', 'gone')"), "also after an error")
}

func (i *interpreter) testLeaving(t *testing.T) {
	loops := map[string][]string{
		"python":     {"print('begun'); import time; time.sleep(1000)", "print('begun')\nwhile True: pass"},
		"bash":       {"echo begun; sleep 1000; echo no", "echo begun; while :; do :; done"},
		"javascript": {"console.log('begun'); while (true) {}", "console.log('begun'); await new Promise(() => {})"},
	}
	for language, codes := range loops {
		i.text(t, language, map[string]string{"python": "kept = 1", "bash": "kept=1", "javascript": "var kept = 1"}[language])
		for _, code := range codes {
			t.Run(language+" "+code, func(t *testing.T) {
				i.leave(t, language, code)
				shown := map[string]string{"python": "kept", "bash": "echo $kept", "javascript": "kept"}
				require.Equal(t, "1", i.text(t, language, shown[language]), "the code was interrupted, and its state is there")
			})
		}
	}
}

func (i *interpreter) contexts(t *testing.T) []string {
	t.Helper()
	_, body := i.call(t, http.MethodGet, "/contexts", nil)
	var list []struct{ ID, Language, CWD string }
	require.NoError(t, json.Unmarshal([]byte(body), &list))
	ids := []string{}
	for _, one := range list {
		require.NotEmpty(t, one.Language)
		require.NotEmpty(t, one.CWD)
		ids = append(ids, one.ID)
	}
	return ids
}

func (i *interpreter) testContexts(t *testing.T) {
	before := i.contexts(t)
	status, body := i.call(t, http.MethodPost, "/contexts", map[string]string{"cwd": "/tmp"})
	require.Equal(t, http.StatusOK, status, body)
	var made struct{ ID, Language, CWD string }
	require.NoError(t, json.Unmarshal([]byte(body), &made))
	require.Equal(t, "python /tmp", made.Language+" "+made.CWD)
	in := func(code string) done { return i.run(t, map[string]any{"code": code, "context_id": made.ID}) }
	require.Equal(t, "/tmp", in("own = 1; import os; os.getcwd()").result.Text)
	require.Equal(t, "NameError", i.run(t, map[string]any{"code": "own"}).failure.Name, "contexts share nothing")

	status, _ = i.call(t, http.MethodPost, "/contexts/"+made.ID+"/restart", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "NameError", in("own").failure.Name)
	require.Equal(t, "/tmp", in("import os; os.getcwd()").result.Text)

	begun := filepath.Join(t.TempDir(), "begun")
	running := make(chan done, 1)
	go func() { running <- in(fmt.Sprintf("import time; open(%q, 'w'); time.sleep(1000)", begun)) }()
	require.Eventually(t, func() bool { _, err := os.Stat(begun); return err == nil }, patience, 10*time.Millisecond)
	status, _ = i.call(t, http.MethodPost, "/contexts/"+made.ID+"/restart", nil)
	require.Equal(t, http.StatusOK, status)
	ended := <-running
	require.NotNil(t, ended.failure, "a restart ends the run")
	require.Equal(t, "ContextRestarting", ended.failure.Name)

	status, _ = i.call(t, http.MethodDelete, "/contexts/"+made.ID, nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, before, i.contexts(t))
	for _, call := range [][2]string{{http.MethodDelete, "/contexts/" + made.ID}, {http.MethodPost, "/contexts/" + made.ID + "/restart"}} {
		status, body := i.call(t, call[0], call[1], nil)
		require.Equal(t, http.StatusNotFound, status, body)
	}
	for range 8 - len(before) {
		status, body = i.call(t, http.MethodPost, "/contexts", map[string]string{"language": "bash"})
		require.Equal(t, http.StatusOK, status, body)
	}
	status, body = i.call(t, http.MethodPost, "/contexts", map[string]string{"language": "bash"})
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Contains(t, body, "8 contexts")
	for _, id := range i.contexts(t)[len(before):] {
		i.call(t, http.MethodDelete, "/contexts/"+id, nil)
	}
}

func (i *interpreter) testFormats(t *testing.T) {
	d := i.run(t, map[string]any{"code": `import pandas as pd
pd.DataFrame({"a": [1, 2], "b": [float("nan"), pd.Timestamp("2020-01-02")], 3: ["x", None]})`})
	require.JSONEq(t, `{"a":[1,2],"b":[null,"2020-01-02T00:00:00"],"3":["x",null]}`, string(d.result.Data))

	response, err := i.send(t.Context(), http.MethodPost, "/execute", map[string]string{"code": `from IPython.display import *
display(Markdown("# a"), HTML("<b>"), Latex("$x$"), JSON({"a": [1]}), Javascript("f()"), SVG("<svg xmlns='http://www.w3.org/2000/svg'/>"))
display({"application/pdf": "JVBE", "image/jpeg": "/9j/"}, raw=True)`})
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for _, want := range []string{
		`"markdown":"# a"`, `"html":"<b>"`, `"latex":"$x$"`, `"json":{"a":[1]}`, `"javascript":"f()"`, `"svg":"<svg`, `"pdf":"JVBE"`, `"jpeg":"/9j/"`,
	} {
		require.Contains(t, string(content), want)
	}
	require.Equal(t, "<i>", htmlOf(i.run(t, map[string]any{"language": "js", "code": `display({[Symbol.for('Jupyter.display')]: () => ({'text/plain': '<i>'})})`})))
}

func htmlOf(d done) string {
	for _, one := range d.lines {
		if one.Type == "result" {
			return one.Text
		}
	}
	return ""
}

// testCharts draws each file of testdata/charts and compares its chart with the JSON
// beside it.
func (i *interpreter) testCharts(t *testing.T) {
	files, err := filepath.Glob("testdata/charts/*.py")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			code, err := os.ReadFile(file)
			require.NoError(t, err)
			d := i.run(t, map[string]any{"code": "import matplotlib.pyplot as plt\n" + string(code) + "\nplt.show()"})
			require.Nil(t, d.failure, "%+v", d.failure)
			shown := d.lines[slices.IndexFunc(d.lines, func(l line) bool { return l.Type == "result" })]
			require.NotEmpty(t, shown.PNG)
			golden := strings.TrimSuffix(file, ".py") + ".json"
			want, err := os.ReadFile(golden)
			if os.IsNotExist(err) && os.Getenv("WRENN_TEST_WRITE_CHARTS") != "" {
				require.NoError(t, os.WriteFile(golden, append(shown.Chart, '\n'), 0o644))
				return
			}
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(shown.Chart))
		})
	}
}

func (i *interpreter) testBadRequests(t *testing.T) {
	cases := map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"no JSON":                {"/execute", "{", http.StatusBadRequest, "JSON"},
		"another form":           {"/execute", `{"code":1}`, http.StatusBadRequest, "code"},
		"language and context":   {"/execute", `{"code":"1","language":"python","context_id":"x"}`, http.StatusBadRequest, "Only one of"},
		"an unknown context":     {"/execute", `{"code":"1","context_id":"x"}`, http.StatusNotFound, "Context x not found"},
		"an unknown language":    {"/execute", `{"code":"1","language":"cobol"}`, http.StatusBadRequest, "there are bash, javascript, python"},
		"a name of no variable":  {"/execute", `{"code":"1","env_vars":{"A B":"x"}}`, http.StatusBadRequest, "env_vars"},
		"a directory not there":  {"/contexts", `{"cwd":"/no/such"}`, http.StatusBadRequest, "/no/such"},
		"a relative directory":   {"/contexts", `{"cwd":"tmp"}`, http.StatusBadRequest, "absolute"},
		"an unknown language's":  {"/contexts", `{"language":"cobol"}`, http.StatusBadRequest, "cobol"},
		"too large":              {"/execute", `{"code":"` + strings.Repeat("x", 33<<20) + `"}`, http.StatusBadRequest, "32 MiB"},
		"no such route":          {"/nothing", `{}`, http.StatusNotFound, ""},
		"a NUL in code for bash": {"/execute", `{"code":"a\u0000","language":"bash"}`, http.StatusOK, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.url+c.path, strings.NewReader(c.body))
			require.NoError(t, err)
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			content, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, response.StatusCode, "%.200s", content)
			require.Contains(t, string(content), c.want)
		})
	}
}

func (i *interpreter) testMuch(t *testing.T) {
	const size = 5 << 20
	for language, code := range map[string]string{
		"python":     fmt.Sprintf("print('é' * %d, end='')", size/2),
		"bash":       fmt.Sprintf("yes é | tr -d '\\n' | head -c %d", size),
		"javascript": fmt.Sprintf("process.stdout.write('é'.repeat(%d)); 0", size/2),
	} {
		t.Run(language, func(t *testing.T) {
			d := i.run(t, map[string]any{"code": code, "language": language})
			require.Nil(t, d.failure)
			require.Len(t, d.stdout, size)
			require.Empty(t, strings.Trim(d.stdout, "é"))
		})
	}
}

func (i *interpreter) testTurns(t *testing.T) {
	i.text(t, "python", "import time; seen = []")
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			i.run(t, map[string]any{"code": fmt.Sprintf("seen.append(%d); time.sleep(0.05); seen.append(%d)", n, n)})
		})
	}
	all.Wait()
	require.Equal(t, "8", i.text(t, "python", "len([1 for a, b in zip(seen[::2], seen[1::2]) if a == b])"))
}

// testEnds has kernels end, each in its own way.
func (i *interpreter) testEnds(t *testing.T) {
	for language, code := range map[string]string{"python": "import os; os.kill(os.getpid(), 9)", "bash": "exit 3", "javascript": "process.exit(3)"} {
		t.Run(language, func(t *testing.T) {
			d := i.run(t, map[string]any{"code": code, "language": language})
			require.NotNil(t, d.failure)
			require.Equal(t, "ContextRestarting", d.failure.Name)
			require.Equal(t, "2", i.text(t, language, map[string]string{"python": "1+1", "bash": "echo 2", "javascript": "1+1"}[language]))
		})
	}
	t.Run("jupyter", func(t *testing.T) {
		i.text(t, "bash", "kill -9 $(pgrep -f 'jupyter-server --config="+i.configOf(t)+"')")
		require.Eventually(t, func() bool {
			d := i.run(t, map[string]any{"code": "1+1"})
			return d.failure == nil && d.result != nil && d.result.Text == "2"
		}, patience, 500*time.Millisecond, "Jupyter was started anew")
	})
	require.Equal(t, []string{"python", "javascript"}, firstLanguages(t, i))
}

// configOf is the configuration of this test's Jupyter, which a kernel's process names.
func (i *interpreter) configOf(t *testing.T) string {
	t.Helper()
	return i.text(t, "python", "import glob, os; next(c for c in open('/proc/%d/cmdline' % os.getppid()).read().split('\\0') if 'config' in c).split('=')[1]")
}

func firstLanguages(t *testing.T, i *interpreter) []string {
	t.Helper()
	_, body := i.call(t, http.MethodGet, "/contexts", nil)
	var list []map[string]string
	require.NoError(t, json.Unmarshal([]byte(body), &list))
	require.Contains(t, slices.Collect(maps.Keys(list[0])), "language")
	return []string{list[0]["language"], list[1]["language"]}
}

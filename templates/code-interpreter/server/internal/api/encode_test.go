package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

func TestEncode_MakesTheLinesThatTheSDKsRead(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		event kernel.Event
		want  string
	}{
		"output": {kernel.Output{Text: "<a>\n", At: time.Unix(1, 2)}, `{"type":"stdout","text":"<a>\n","timestamp":1000000002}`},
		"errors": {kernel.Output{Stderr: true, Text: "x", At: time.Unix(1, 0)}, `{"type":"stderr","text":"x","timestamp":1000000000}`},
		"error":  {kernel.Failure{Name: "E", Value: "v", Traceback: "t"}, `{"type":"error","name":"E","value":"v","traceback":"t"}`},
		"count":  {kernel.Count{N: 3}, `{"type":"number_of_executions","execution_count":3}`},
		"a string's quotes are taken off": {
			kernel.Result{Main: true, Data: map[string]json.RawMessage{"text/plain": json.RawMessage(`"'it'"`)}},
			`{"type":"result","is_main_result":true,"text":"it"}`,
		},
		"formats": {
			kernel.Result{Data: map[string]json.RawMessage{
				"text/plain": json.RawMessage(`"x"`), "text/html": json.RawMessage(`["<b>","</b>"]`), "image/png": json.RawMessage(`"cG5n"`),
				"application/json": json.RawMessage(`{"a":[1]}`), "e2b/data": json.RawMessage(`{"a":[1]}`), "e2b/chart": json.RawMessage(`{"type":"bar"}`),
				"text/latex": json.RawMessage(`null`),
			}},
			`{"type":"result","is_main_result":false,"text":"x","html":"<b></b>","png":"cG5n","json":{"a":[1]},"data":{"a":[1]},"chart":{"type":"bar"}}`,
		},
		"other types": {
			kernel.Result{Data: map[string]json.RawMessage{"application/vnd.x+json": json.RawMessage(`{"a":1}`), "type": json.RawMessage(`"stdout"`)}},
			`{"type":"result","is_main_result":false,"application/vnd.x+json":{"a":1},"extra":{"application/vnd.x+json":{"a":1},"type":"stdout"}}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, err := encode(c.event)
			require.NoError(t, err)
			require.JSONEq(t, c.want, string(line))
			require.Equal(t, byte('\n'), line[len(line)-1])
		})
	}
}

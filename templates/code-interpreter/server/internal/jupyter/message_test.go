package jupyter

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

func TestDecode_ReadsWhatKernelsSend(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	cases := map[string]struct {
		data string
		want message
	}{
		"output": {
			`{"header":{"msg_type":"stream","date":"2026-01-02T03:04:05.000006Z"},"parent_header":{"msg_id":"1"},"content":{"name":"stderr","text":"x"}}`,
			message{parent: "1", event: kernel.Output{Stderr: true, Text: "x", At: at}},
		},
		"a result": {
			`{"header":{"msg_type":"execute_result"},"parent_header":{"msg_id":"1"},"content":{"execution_count":3,"data":{"text/plain":"2"}}}`,
			message{parent: "1", event: kernel.Result{Main: true, Data: map[string]json.RawMessage{"text/plain": json.RawMessage(`"2"`)}}},
		},
		"a display": {
			`{"header":{"msg_type":"display_data"},"parent_header":{"msg_id":"1"},"content":{"data":{"e2b/chart":{"type":"bar"}}}}`,
			message{parent: "1", event: kernel.Result{Data: map[string]json.RawMessage{"e2b/chart": json.RawMessage(`{"type":"bar"}`)}}},
		},
		"an error": {
			`{"header":{"msg_type":"error"},"parent_header":{"msg_id":"1"},"content":{"ename":"E","evalue":"v","traceback":["a","b"]}}`,
			message{parent: "1", event: kernel.Failure{Name: "E", Value: "v", Traceback: "a\nb"}},
		},
		"a reply with an error": {
			`{"header":{"msg_type":"execute_reply"},"parent_header":{"msg_id":"1"},"content":{"status":"error","ename":"E","evalue":"v","traceback":[]}}`,
			message{parent: "1", reply: "error", failure: &kernel.Failure{Name: "E", Value: "v"}},
		},
		"a count":      {`{"header":{"msg_type":"execute_input"},"parent_header":{"msg_id":"1"},"content":{"code":"x","execution_count":7}}`, message{parent: "1", event: kernel.Count{N: 7}}},
		"idle":         {`{"header":{"msg_type":"status"},"parent_header":{"msg_id":"1"},"content":{"execution_state":"idle"}}`, message{parent: "1", state: "idle"}},
		"no parent":    {`{"header":{"msg_type":"status"},"parent_header":{},"content":{"execution_state":"restarting"}}`, message{state: "restarting"}},
		"another type": {`{"header":{"msg_type":"comm_open"},"parent_header":{"msg_id":"1"},"content":[]}`, message{parent: "1"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := decode([]byte(c.data))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	for name, data := range map[string]string{
		"no JSON": `{`, "no type": `{"header":{}}`, "content of another form": `{"header":{"msg_type":"stream"},"content":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := decode([]byte(data))
			require.Error(t, err)
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"header":{"msg_type":"stream","date":"x"},"parent_header":{"msg_id":"1"},"content":{"name":"stdout","text":"x"}}`))
	f.Add([]byte(`{"header":{"msg_type":"execute_reply"},"parent_header":null,"content":{"status":"error","traceback":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := decode(data)
		if err == nil && read.failure != nil {
			require.Contains(t, []string{"error", "aborted"}, read.reply)
		}
	})
}

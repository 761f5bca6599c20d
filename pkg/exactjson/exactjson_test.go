package exactjson_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/exactjson"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

type embedded struct {
	Deep string `json:"deep"`
}

type body struct {
	embedded
	TemplateID string               `json:"templateID"`
	Timeout    *int                 `json:"timeout"`
	Since      time.Time            `json:"since"`
	Tags       map[string]string    `json:"tags"`
	Rules      map[string][]rule    `json:"rules"`
	Any        json.RawMessage      `json:"any"`
	Inner      *struct{ Size int }  `json:"inner"`
	Pairs      [2]map[string]string `json:"pairs"`
	Hidden     string               `json:"-"`
	private    string               //lint:ignore U1000 a field that JSON does not reach
}

type rule struct {
	Host string `json:"host"`
}

func TestDecode_TakesAFieldByItsExactNameOnly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`{"TEMPLATEID":"x","timeout":3}`:                            {"TEMPLATEID"},
		`{"templateId":"x","templateID":"ours"}`:                    {"templateId"},
		`{"templateID":"ours","templateid":"x","TemplateID":"y"}`:   {"templateid", "TemplateID"},
		`{"\u0054emplateID" : "x"}`:                                 {"TemplateID"},
		`{"DEEP":"x","deep":"y"}`:                                   {"DEEP"},
		`{"inner":{"size":1,"Size":2}}`:                             {"inner.size"},
		`{"rules":{"a.b":[{"host":"h"},{"HOST":"x","colour":{}}]}}`: {"rules.a.b.HOST", "rules.a.b.colour"},
		`{"Hidden":"x","private":"x","-":"x"}`:                      {"Hidden", "private", "-"},
		`{"ſince":"x","":1}`:                                        {"ſince", ""},
		`{"Any":{"deep":{"templateID":"x"}}}`:                       {"Any"},
		`{"tags":{"TEMPLATEID":"x"},"any":{"TIMEOUT":1},"since":"2026-01-01T00:00:00Z","pairs":[{"A":"b"}]}`: nil,
	} {
		var into body
		unknown, err := exactjson.Decode([]byte(text), &into)
		require.NoError(t, err, text)
		require.Equal(t, want, unknown, text)
		require.NotContains(t, []string{"x", "y"}, into.TemplateID, text)
		require.Empty(t, into.Hidden)
		require.NotEqual(t, "x", into.Deep)
		err = exactjson.DecodeKnown([]byte(text), new(body))
		require.Equal(t, len(want) > 0, fault.Is(err, fault.Invalid), "%s: %v", text, err)
	}
}

func TestDecode_ReportsFewOfManyUnknownFields(t *testing.T) {
	t.Parallel()
	unknown, err := exactjson.Decode([]byte("{"+strings.Repeat(`"a":1,`, 1)+manyFields()+`"timeout":7}`), new(body))
	require.NoError(t, err)
	require.Len(t, unknown, 20)
}

func manyFields() string {
	var text strings.Builder
	for i := range 1000 {
		text.WriteString(`"f` + strings.Repeat("o", i) + `":[{}],`)
	}
	return text.String()
}

// FuzzDecode holds that no field is read under another name than its own, and
// that the body is not changed in place.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"TEMPLATEID":"x"}`, `{"templateID":"a","any":[{"x":"\u0000"}]}`, `{"\"":{"?":1}}`, `{"inner":{"size":[{}]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		given := string(text)
		var into body
		if _, err := exactjson.Decode(text, &into); err != nil {
			require.True(t, fault.Is(err, fault.Invalid))
		} else if len(strings.TrimSpace(given)) > 0 {
			var fields map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(text, &fields))
			if into.TemplateID != "" {
				require.Contains(t, fields, "templateID")
			}
			if into.Timeout != nil {
				require.Contains(t, fields, "timeout")
			}
		}
		require.Equal(t, given, string(text))
	})
}

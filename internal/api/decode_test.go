package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

type decodedBody struct {
	Name  string            `json:"name"`
	Count int               `json:"count"`
	Tags  map[string]string `json:"tags"`
	Any   json.RawMessage   `json:"any"`
	Inner struct {
		Size int `json:"size"`
	} `json:"inner"`
}

func decodeText(body string) (decodedBody, error) {
	var into decodedBody
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	request.Body = http.MaxBytesReader(nil, request.Body, maxBodyBytes)
	return into, decode(request, &into)
}

func TestDecode_RefusesWhatIsNotOneObjectOfKnownFieldsAndNamesTheField(t *testing.T) {
	t.Parallel()
	for body, message := range map[string]string{
		`{"name":"a","title":"b"}`:                "title: there is no such field",
		`{"inner":{"size":1,"colour":2}}`:         "colour: there is no such field",
		`{"name":"a","name":"b"}`:                 "name: the field comes twice",
		`{"tags":{"x":"1","y":"2","x":"3"}}`:      "x: the field comes twice",
		`{"any":[{"p":1},{"q":[{"r":1,"r":2}]}]}`: "r: the field comes twice",
		`{"count":"many"}`:                        "count must not be a JSON string",
		`{"inner":{"size":"big"}}`:                "inner.size must not be a JSON string",
		`{"inner":[]}`:                            "inner must not be a JSON array",
		`{"name":"a\u0000"}`:                      "name must not contain a zero byte",
		`{"any":{"list":["a","\u0000"]}}`:         "list must not contain a zero byte",
		`{"tags":{"a\u0000":"b"}}`:                "name of a field must not contain a zero byte",
		`{"name":"a"} {}`:                         "more after its JSON object",
		`{"name":"a"} x`:                          "more after its JSON object",
		`[]`:                                      "must be a JSON object",
		`null`:                                    "must be a JSON object",
		`"name"`:                                  "must be a JSON object",
		`{"name"`:                                 "not valid JSON",
		`name=a`:                                  "not valid JSON",
		`{"any":` + strings.Repeat("[", 100_000):  "nested deeper than 32 levels",
		`{"` + strings.Repeat("n", 1000) + `":1}`: strings.Repeat("n", 100) + "…",
	} {
		_, err := decodeText(body)
		require.True(t, fault.Is(err, fault.Invalid), "%.100s: %v", body, err)
		require.ErrorContains(t, err, message, "%.100s", body)
		require.Less(t, len(err.Error()), 300)
	}
	_, err := decodeText(`{"name":"` + strings.Repeat("a", maxBodyBytes) + `"}`)
	require.True(t, fault.Is(err, fault.TooLarge), "%v", err)
}

func TestDecode_TakesAnObjectAndNothing(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", " \n", "{}"} {
		got, err := decodeText(body)
		require.NoError(t, err, "%q", body)
		require.Equal(t, decodedBody{}, got)
	}
	got, err := decodeText(`{"name":"name","tags":{"name":"x","count":"name"},"any":{"name":[1,"name"]},"inner":{"size":3}}`)
	require.NoError(t, err)
	require.Equal(t, 3, got.Inner.Size)
	require.Equal(t, map[string]string{"name": "x", "count": "name"}, got.Tags)
}

package request

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
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
	request.Body = http.MaxBytesReader(nil, request.Body, MaxBodyBytes)
	return into, Decode(request, &into)
}

func TestDecode_RefusesWhatIsNotOneObjectOfKnownFieldsAndNamesTheField(t *testing.T) {
	t.Parallel()
	for body, message := range map[string]string{
		`{"name":"a","title":"b"}`:                "title: there is no such field",
		`{"inner":{"size":1,"colour":2}}`:         "colour: there is no such field",
		`{"NAME":"a"}`:                            "NAME: there is no such field",
		`{"name":"a","name":"b"}`:                 "name: the field comes twice",
		`{"tags":{"x":"1","y":"2","x":"3"}}`:      "x: the field comes twice",
		`{"any":[{"p":1},{"q":[{"r":1,"r":2}]}]}`: "r: the field comes twice",
		`{"count":"many"}`:                        "count must not be a JSON string",
		`{"inner":{"size":"big"}}`:                "inner.size must not be a JSON string",
		`{"inner":[]}`:                            "inner must not be a JSON array",
		`{"name":"a\u0000"}`:                      "name must not contain a zero byte",
		`{"any":{"list":["a","\u0000"]}}`:         "any.list must not contain a zero byte",
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
	_, err := decodeText(`{"name":"` + strings.Repeat("a", MaxBodyBytes) + `"}`)
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

// A client of E2B's next version may send what this server does not know yet; on
// our own routes it is a mistake.
func TestDecode_LeavesUnknownFieldsOutOnE2BsRoutesAndNamesThem(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	router := chi.NewRouter()
	router.Group(func(router chi.Router) {
		router.Use((&Tolerance{Log: slog.New(slog.NewTextHandler(&log, nil))}).Middleware)
		answer := func(w http.ResponseWriter, r *http.Request) {
			var into decodedBody
			if err := Decode(r, &into); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			_ = json.NewEncoder(w).Encode(into)
		}
		for _, pattern := range []string{"/v2/sandboxes/{sandboxID}/connect", "/admin/teams/{teamID}/limits", "/channels"} {
			router.Post(pattern, answer)
		}
	})
	send := func(path, client, body string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		request.Header.Set("User-Agent", client)
		recorder := httptest.NewRecorder()
		router.ServeHTTP(recorder, request)
		return recorder
	}
	const wrongCase = `{"NAME":"x","name":"ours","inner":{"size":1,"col\u000dour":{"deep":[1]}}}`
	for _, client := range []string{"e2b-js/9", "e2b-js/9", "e2b-js/10"} {
		got := send("/v2/sandboxes/i1/connect", client, wrongCase)
		require.Equal(t, http.StatusOK, got.Code, got.Body)
		require.Equal(t, `NAME, "inner.col\rour"`, got.Header().Get("Wrenn-Ignored-Fields"))
		require.Contains(t, got.Body.String(), `"name":"ours"`)
	}
	require.Equal(t, 2, strings.Count(log.String(), "\n"), "once for each version of a client: %s", &log)
	require.Empty(t, send("/v2/sandboxes/i1/connect", "", `{"name":"ours"}`).Header().Get("Wrenn-Ignored-Fields"))
	for _, own := range []string{"/admin/teams/t/limits", "/channels"} {
		require.Equal(t, http.StatusBadRequest, send(own, "", wrongCase).Code, own)
	}
	require.Equal(t, http.StatusBadRequest, send("/v2/sandboxes/i1/connect", "", `{"later":1,"later":2}`).Code)
}

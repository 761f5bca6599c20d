package extension

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// gate is an extension with middlewares.
type gate struct {
	guarding bool
	panics   bool // when the middlewares are made, but for the first time
	made     *int
}

func (gate) Name() string { return "gate" }

func (g gate) Guarding() bool { return g.guarding }

func (g gate) BeforeAuth(next http.Handler) http.Handler {
	if *g.made++; g.panics && *g.made > 1 {
		panic("no more middlewares")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Gate", "passed")
		next.ServeHTTP(w, r)
	})
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		gate     gate
		fails    bool
		status   int
		isPassed bool
	}{
		"of an extension that runs":              {gate{guarding: true}, false, http.StatusOK, true},
		"of one that failed is bypassed":         {gate{}, true, http.StatusOK, false},
		"of a guarding one that failed refuses":  {gate{guarding: true}, true, http.StatusServiceUnavailable, false},
		"that cannot be made is bypassed":        {gate{panics: true}, false, http.StatusOK, false},
		"that cannot be made and guards refuses": {gate{panics: true, guarding: true}, false, http.StatusServiceUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.gate.made = new(int)
			set, err := start(t, test.gate)
			require.NoError(t, err)
			if test.fails {
				set.instances[0].become(Failed)
			}
			recorder := httptest.NewRecorder()
			handler := set.BeforeAuth()[0](http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
			require.Equal(t, test.status, recorder.Code)
			require.Equal(t, test.isPassed, recorder.Header().Get("X-Gate") != "")
		})
	}
}

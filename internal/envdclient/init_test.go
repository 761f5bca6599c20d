package envdclient

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// message is one that a guest was told, and the secret that came with it.
type message struct {
	Init
	secret string
}

func TestInit_TellsASlowGuestTheTimeAgainAndNothingElse(t *testing.T) {
	t.Parallel()
	const instant, eternity = -time.Nanosecond, time.Hour
	full := Init{Secret: "new", EnvVars: map[string]string{"A": "1"}, LifecycleID: "life", CABundle: "bundle"}
	for _, test := range []struct {
		name   string
		maxLag time.Duration
		want   []message
	}{
		{"a guest that heard in time", eternity, []message{{full, "old"}}},
		{"a guest that never hears in time", instant, []message{
			{full, "old"}, {Init{LifecycleID: "life"}, "new"}, {Init{LifecycleID: "life"}, "new"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var mutex sync.Mutex
			var told []message
			last := time.Now()
			client := clientOf(t, func(_ http.ResponseWriter, r *http.Request) {
				mutex.Lock()
				defer mutex.Unlock()
				got := message{secret: r.Header.Get(SecretHeader)}
				if err := json.NewDecoder(r.Body).Decode(&got.Init); err != nil {
					t.Errorf("decode: %v", err)
				}
				if !got.Timestamp.After(last) {
					t.Errorf("told %s after %s", got.Timestamp, last)
				}
				last, got.Timestamp = got.Timestamp, time.Time{}
				if full := got.Secret != ""; full != (len(got.RandomSeed) == seedBytes) {
					t.Errorf("told a seed of %d bytes", len(got.RandomSeed))
				}
				got.RandomSeed = nil
				told = append(told, got)
			})
			client.longestClockLag = test.maxLag
			began := time.Now()
			lag, err := client.Init(t.Context(), "old", full)
			require.NoError(t, err)
			require.Positive(t, lag)
			require.Less(t, lag, time.Since(began))
			require.Equal(t, test.want, told)
		})
	}
}

func TestInit_GivesEachLifeItsOwnSeed(t *testing.T) {
	t.Parallel()
	const lives = 20
	seeds := map[string]bool{}
	client := clientOf(t, func(_ http.ResponseWriter, r *http.Request) {
		var got Init
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Errorf("decode: %v", err)
		}
		if len(got.RandomSeed) != seedBytes {
			t.Errorf("told a seed of %d bytes", len(got.RandomSeed))
		}
		seeds[string(got.RandomSeed)] = true
	})
	client.longestClockLag = time.Hour
	for range lives {
		_, err := client.Init(t.Context(), "", Init{LifecycleID: "the same, by a mistake"})
		require.NoError(t, err)
	}
	require.Len(t, seeds, lives)
}

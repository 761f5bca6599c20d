package settings

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
)

// env is the environment, which is there.
func env(t *testing.T, s *Settings) map[string]string {
	t.Helper()
	there, cancel := context.WithCancel(t.Context())
	cancel()
	variables, err := s.Env(there)
	require.NoError(t, err)
	return variables
}

func TestSettings_BeginAsATemplateHasThem(t *testing.T) {
	s := New()
	require.False(t, s.HasSecret())
	require.Empty(t, env(t, s))
	require.NotNil(t, env(t, s), "clients get an empty object, not null")
	require.Empty(t, s.Workdir())
}

func TestApply_ChangesOnlyWhatIsGiven(t *testing.T) {
	s := New()
	s.Apply(Update{Secret: "secret", Env: map[string]string{"A": "1", "B": "2"}, User: "root", Workdir: "/srv"})
	s.Apply(Update{Env: map[string]string{"B": "3"}})
	require.True(t, s.SecretIs("secret"))
	require.Equal(t, "/srv", s.Workdir())
	require.Equal(t, map[string]string{"B": "3"}, env(t, s), "an environment takes the place of the one before")
	s.Apply(Update{Workdir: "/"})
	require.Equal(t, map[string]string{"B": "3"}, env(t, s))
	user, err := s.User("")
	require.NoError(t, err)
	require.Equal(t, "root", user.Name)
}

func TestEnv_StaysForThoseWhoReadItBefore(t *testing.T) {
	s := New()
	given := map[string]string{"A": "1"}
	s.Apply(Update{Env: given})
	given["A"] = "changed by who gave it"
	before := env(t, s)
	s.Apply(Update{Env: map[string]string{"A": "2"}})
	require.Equal(t, map[string]string{"A": "1"}, before)
	require.Equal(t, map[string]string{"A": "2"}, env(t, s))
}

func TestEnv_WaitsWhileItIsForgotten(t *testing.T) {
	s := New()
	s.Apply(Update{Env: map[string]string{"A": "1"}})
	s.ForgetEnv()
	s.ForgetEnv()
	s.Apply(Update{Workdir: "/"})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Env(gone)
	require.ErrorIs(t, err, context.Canceled, "nothing runs without what it was given")

	read := make(chan map[string]string)
	go func() {
		variables, _ := s.Env(t.Context())
		read <- variables
	}()
	s.Apply(Update{Env: map[string]string{"A": "2"}})
	require.Equal(t, map[string]string{"A": "2"}, <-read)
	require.Equal(t, map[string]string{"A": "2"}, env(t, s))
}

func TestSecretIs_KnowsOnlyTheLastSecret(t *testing.T) {
	s := New()
	require.False(t, s.SecretIs("guess"))
	s.Apply(Update{Secret: "first"})
	require.True(t, s.SecretIs("first"))
	s.Apply(Update{Secret: "second"})
	require.True(t, s.SecretIs("second"))
	for _, candidate := range []string{"", "first", "secon", "second "} {
		require.False(t, s.SecretIs(candidate), "%q", candidate)
	}
}

func TestSecretIs_HoldsOfNothingWhileThereIsNoSecret(t *testing.T) {
	require.False(t, New().SecretIs(""), "an empty secret never matches")
}

func TestUser_IsTheNamedOneOrTheDefault(t *testing.T) {
	s := New()
	s.Apply(Update{User: "nobody"})
	for name, want := range map[string]string{"": "nobody", "root": "root"} {
		user, err := s.User(name)
		require.NoError(t, err)
		require.Equal(t, want, user.Name)
	}
	_, err := s.User("no-such-user")
	require.ErrorIs(t, err, permissions.ErrUnknownUser)
}

func TestCaller_IsWhoTheHeaderNames(t *testing.T) {
	s := New()
	s.Apply(Update{User: "nobody"})
	user, err := s.Caller(http.Header{"Authorization": {"Basic cm9vdDo="}})
	require.NoError(t, err)
	require.Equal(t, "root", user.Name)
	user, err = s.Caller(http.Header{})
	require.NoError(t, err)
	require.Equal(t, "nobody", user.Name)
	_, err = s.Caller(http.Header{"Authorization": {"Basic ???"}})
	require.ErrorIs(t, err, permissions.ErrUnknownUser)
}

func TestSettings_AreReadWhileTheyChange(t *testing.T) {
	s := New()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				s.Apply(Update{Secret: "token", Env: map[string]string{fmt.Sprint(i): "x"}, Workdir: "/srv"})
				_, _, _ = len(env(t, s)), s.Workdir(), s.SecretIs("token")
			}
		})
	}
	all.Wait()
	require.Len(t, env(t, s), 1)
}

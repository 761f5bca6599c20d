package api_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// localLink makes a link as wrenn up does, and returns its token.
func (w *world) localLink(t *testing.T) string {
	t.Helper()
	var made struct{ URL string }
	got := w.browser(t).send(t, http.MethodPost, "/auth/local/link", nil, http.Header{auth.AdminTokenHeader: {adminToken}})
	require.Equal(t, http.StatusCreated, got.status, "%s", got.body)
	require.NoError(t, json.Unmarshal(got.body, &made))
	return linkToken.FindStringSubmatch(made.URL)[1]
}

func TestLocalSignIn_GivesOneSessionOfAnAdmin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, token := w.localLink(t), w.localLink(t)
	var signedIn atomic.Int32
	var racing sync.WaitGroup
	browsers := []*browser{w.browser(t), w.browser(t), w.browser(t)}
	winner := make(chan *browser, len(browsers))
	for _, one := range browsers {
		racing.Go(func() {
			if one.do(t, http.MethodPost, "/auth/local", fields{"token": token}).status == http.StatusOK {
				signedIn.Add(1)
				winner <- one
			}
		})
	}
	racing.Wait()
	require.EqualValues(t, 1, signedIn.Load(), "a link works once")
	b := <-winner
	b.learn(t)
	var me struct {
		PlatformAdmin, HasPassword bool
		Teams                      []struct{ Role string }
	}
	b.must(t, http.StatusOK, http.MethodGet, "/me", nil, &me)
	require.True(t, me.PlatformAdmin)
	require.False(t, me.HasPassword)
	require.Equal(t, []struct{ Role string }{{"owner"}}, me.Teams)
	b.must(t, http.StatusBadRequest, http.MethodPost, "/auth/local", fields{"token": old}, nil)
	b.must(t, http.StatusForbidden, http.MethodPost, "/auth/local/link", nil, nil)

	again := w.browser(t)
	again.must(t, http.StatusOK, http.MethodPost, "/auth/local", fields{"token": w.localLink(t)}, nil)
	again.learn(t)
	require.Equal(t, b.userID, again.userID, "it is the same user")

	w.firstAdmin(t) // whose link works although there is an admin of this machine
}

func TestLocalSignIn_EndsWhenItsUserIsDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.firstAdmin(t)
	local := w.browser(t)
	local.must(t, http.StatusOK, http.MethodPost, "/auth/local", fields{"token": w.localLink(t)}, nil)
	local.learn(t)
	ada.must(t, http.StatusNoContent, http.MethodPatch, "/admin/users/"+local.userID.String(), fields{"disabled": true}, nil)
	w.browser(t).must(t, http.StatusForbidden, http.MethodPost, "/auth/local", fields{"token": w.localLink(t)}, nil)
}

func TestLocalSignIn_IsTheOnlyWayToItsUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.firstAdmin(t)
	b := w.browser(t)
	b.must(t, http.StatusOK, http.MethodPost, "/auth/local", fields{"token": w.localLink(t)}, nil)
	anyone := w.browser(t)
	anyone.must(t, http.StatusNoContent, http.MethodPost, "/auth/password/reset-request", fields{"email": "admin@localhost"}, nil)
	anyone.must(t, http.StatusNoContent, http.MethodPost, "/auth/password/reset-request", fields{"email": "ada@example.com"}, nil)
	to, _ := w.mails.next(t)
	require.Equal(t, "ada@example.com", to, "a link to a password of this machine's user was mailed")
}

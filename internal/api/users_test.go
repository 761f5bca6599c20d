package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestUsers_AreShutOutAtOnceAndLetInAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	bob := admin.member(t, "bob@example.com", "member")
	token := bearer(bob.accessToken(t))
	path := "/admin/users/" + bob.userID.String()
	bob.must(t, http.StatusForbidden, http.MethodGet, "/admin/users", nil, nil)
	require.Equal(t, http.StatusOK, bob.send(t, http.MethodGet, "/me", nil, token).status)

	admin.must(t, http.StatusNoContent, http.MethodPatch, path, fields{"disabled": true}, nil)
	bob.must(t, http.StatusUnauthorized, http.MethodGet, "/me", nil, nil)
	require.Equal(t, http.StatusUnauthorized, w.browser(t).send(t, http.MethodGet, "/me", nil, token).status)
	require.Equal(t, http.StatusUnauthorized, bob.login(t, "bob@example.com", password).status)
	admin.must(t, http.StatusNoContent, http.MethodPatch, path, fields{"disabled": false}, nil)
	require.Equal(t, http.StatusOK, bob.login(t, "bob@example.com", password).status)

	admin.must(t, http.StatusNoContent, http.MethodPatch, path, fields{"platformAdmin": true}, nil)
	bob.must(t, http.StatusOK, http.MethodGet, "/admin/users", nil, nil)
	admin.must(t, http.StatusNotFound, http.MethodPatch, "/admin/users/"+uuid.NewString(), fields{"disabled": true}, nil)
}

func TestUsers_KeepAnAdmin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	path := "/admin/users/" + admin.userID.String()
	admin.must(t, http.StatusConflict, http.MethodPatch, path, fields{"disabled": true}, nil)
	admin.must(t, http.StatusConflict, http.MethodPatch, path, fields{"platformAdmin": false}, nil)
	admin.must(t, http.StatusOK, http.MethodGet, "/admin/users", nil, nil)
	bob := admin.member(t, "bob@example.com", "member")
	admin.must(t, http.StatusNoContent, http.MethodPatch, "/admin/users/"+bob.userID.String(), fields{"platformAdmin": true}, nil)
	bob.must(t, http.StatusNoContent, http.MethodPatch, path, fields{"disabled": true}, nil)
	bob.must(t, http.StatusConflict, http.MethodPatch, "/admin/users/"+bob.userID.String(), fields{"disabled": true}, nil)
}

func TestUsers_AreListedInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	admin.member(t, "bob@example.com", "member")
	admin.member(t, "carol@example.com", "viewer")
	var emails []string
	for next := ""; ; {
		got := admin.do(t, http.MethodGet, "/admin/users?limit=2&nextToken="+next, nil)
		var page []struct{ Email string }
		require.NoError(t, json.Unmarshal(got.body, &page), "%s", got.body)
		for _, user := range page {
			emails = append(emails, user.Email)
		}
		if next = got.header.Get("X-Next-Token"); next == "" {
			break
		}
	}
	require.Equal(t, []string{"ada@example.com", "bob@example.com", "carol@example.com"}, emails)
}

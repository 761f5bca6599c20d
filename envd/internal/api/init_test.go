package api

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/envd/internal/host"
	"git.omukk.dev/wrenn/sandbox/envd/internal/mmds"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/keys"
)

func countDials(count *int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, protocol, address string) (net.Conn, error) {
		*count++
		return new(net.Dialer).DialContext(ctx, protocol, address)
	}
}

func seed(fill byte) []byte { return bytes.Repeat([]byte{fill}, host.SeedBytes) }

func bundle(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

func TestInit_GivesAGuestItsIdentity(t *testing.T) {
	g := newGuest(t, false)
	now := time.Now().UTC().Truncate(time.Microsecond)
	body, err := json.Marshal(map[string]any{
		"accessToken": "secret", "timestamp": now, "lifecycleID": "life-1", "defaultUser": currentUser(t),
		"defaultWorkdir": "/tmp", "envVars": map[string]string{"A": "1", "B": "2", "E2B_SANDBOX_ID": "itest"}, "caBundle": bundle(t), "randomSeed": seed('x'),
		"hyperloopIP": "192.0.2.1", "volumeMounts": []map[string]string{{"nfs_target": "192.0.2.1:/v", "path": "/mnt/v"}},
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, g.init("", string(body)))
	require.Equal(t, []string{
		"clock", "reseed life-1", "identity itest", "certificates", "host service 192.0.2.1", "mount /mnt/v",
		"thaw", "keep connections", "ports on",
	}, g.takeAll())
	require.True(t, now.Equal(g.clock))
	require.Equal(t, seed('x'), g.seed[:])
	require.JSONEq(t, `{"A":"1","B":"2","E2B_SANDBOX_ID":"itest"}`, g.call(http.MethodGet, "/envs", "secret", "").body)
}

func TestInit_TwiceLateOrOutOfOrderIsHarmless(t *testing.T) {
	g := newGuest(t, false)
	base := time.Now()
	send := func(life string, offset time.Duration, value string) []string {
		t.Helper()
		body := fmt.Sprintf(`{"accessToken":"secret","lifecycleID":%q,"timestamp":%q,"envVars":{"V":%q}}`,
			life, base.Add(offset).Format(time.RFC3339Nano), value)
		require.Equal(t, http.StatusNoContent, g.init("secret", body))
		return g.takeAll()
	}
	value := func() string { return g.call(http.MethodGet, "/envs", "secret", "").body }

	require.Contains(t, send("one", 0, "first"), "clock")
	require.Contains(t, send("one", 0, "first"), "clock")
	require.Empty(t, send("one", -time.Second, "older"))
	require.JSONEq(t, `{"V":"first"}`, value())
	require.Contains(t, send("two", time.Minute, "second"), "clock")
	require.Empty(t, send("one", 2*time.Minute, "from an earlier life"))
	require.JSONEq(t, `{"V":"second"}`, value())
	require.Contains(t, send("three", -time.Hour, "the host's clock was set back"), "clock")
	require.JSONEq(t, `{"V":"the host's clock was set back"}`, value())

	for life := range maxLifecycles + 10 {
		send(fmt.Sprint("many-", life), time.Hour+time.Duration(life)*time.Second, "x")
	}
	require.Contains(t, send("", 24*time.Hour, "without a life"), "clock")
}

func TestInit_ReplacesTheEnvironmentOfAnEarlierLife(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"lifecycleID":"one","envVars":{"A":"1","B":"2"}}`))
	require.Equal(t, http.StatusNoContent, g.init("", `{"lifecycleID":"two","envVars":{"B":"3"}}`))
	require.JSONEq(t, `{"B":"3"}`, g.call(http.MethodGet, "/envs", "", "").body)
	require.Equal(t, http.StatusNoContent, g.init("", `{"lifecycleID":"three","envVars":{}}`))
	require.JSONEq(t, `{}`, g.call(http.MethodGet, "/envs", "", "").body)
}

func TestPrepareSnapshot_ForgetsTheEnvironmentUntilItIsGivenAgain(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"envVars":{"A":"1"}}`))
	require.Equal(t, http.StatusNoContent, g.call(http.MethodPost, "/snapshot/prepare?keepStreams=true&forgetEnvironment=true", "", "").status)
	answered := make(chan string, 1)
	go func() { answered <- g.call(http.MethodGet, "/envs", "", "").body }()
	require.Equal(t, http.StatusNoContent, g.init("", `{}`), "who says nothing of it gives none")
	require.Equal(t, http.StatusNoContent, g.init("", `{"envVars":{"A":"2"}}`))
	require.JSONEq(t, `{"A":"2"}`, <-answered)
}

func TestInit_KeepsWhatItIsNotTold(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"accessToken":"secret","envVars":{"A":"1"}}`))
	require.Equal(t, http.StatusNoContent, g.init("secret", ``))
	require.JSONEq(t, `{"A":"1"}`, g.call(http.MethodGet, "/envs", "secret", "").body)
	require.Equal(t, http.StatusUnauthorized, g.call(http.MethodGet, "/envs", "", "").status)
}

func TestInit_SecretChangesOnlyByWhoKnowsIt(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"accessToken":"first"}`))
	require.Equal(t, http.StatusUnauthorized, g.init("", `{"accessToken":"second"}`))
	require.Equal(t, http.StatusUnauthorized, g.init("", `{}`))
	require.Equal(t, http.StatusUnauthorized, g.init("second", `{"accessToken":"second"}`))
	require.Equal(t, http.StatusNoContent, g.init("", `{"accessToken":"first"}`))
	require.Equal(t, http.StatusNoContent, g.init("first", `{"accessToken":"second"}`))
	require.Equal(t, http.StatusNoContent, g.init("first", `{"accessToken":"second"}`), "a host that did not hear the answer repeats itself")
	require.Equal(t, http.StatusUnauthorized, g.init("first", `{"accessToken":"third"}`))
	require.Equal(t, http.StatusOK, g.call(http.MethodGet, "/envs", "second", "").status)
	require.Equal(t, http.StatusUnauthorized, g.call(http.MethodGet, "/envs", "first", "").status)
}

func TestInit_TakesASecretTheMonitorVouchesFor(t *testing.T) {
	g := newGuest(t, true)
	g.metadata = mmds.Metadata{SandboxID: "ione", TemplateID: "base", SecretDigest: keys.Digest("first")}
	require.Equal(t, http.StatusUnauthorized, g.init("", `{"accessToken":"stolen"}`))
	require.Equal(t, http.StatusNoContent, g.init("", `{"accessToken":"first"}`))
	require.JSONEq(t, `{"E2B_SANDBOX":"true","E2B_SANDBOX_ID":"ione","E2B_TEMPLATE_ID":"base"}`, g.call(http.MethodGet, "/envs", "first", "").body)

	g.metadata = mmds.Metadata{SandboxID: "itwo", SecretDigest: keys.Digest("second")}
	require.Equal(t, http.StatusUnauthorized, g.init("", `{"accessToken":"first"}`), "the one before is no longer vouched for")
	require.Equal(t, http.StatusNoContent, g.init("", `{"accessToken":"second"}`))
	require.Contains(t, g.call(http.MethodGet, "/envs", "second", "").body, `"itwo"`)

	g.metadata, g.failures["metadata"] = mmds.Metadata{}, errors.New("no answer")
	require.Equal(t, http.StatusUnauthorized, g.init("", `{"accessToken":"third"}`), "silence vouches for nothing")
	require.Equal(t, http.StatusNoContent, g.init("second", `{}`))
}

func TestInit_SaysWhatFailedAndServesAllTheSame(t *testing.T) {
	g := newGuest(t, false)
	g.failures["clock"] = errors.New("the clock is broken")
	body := fmt.Sprintf(`{"lifecycleID":"a","timestamp":%q}`, time.Now().Format(time.RFC3339Nano))
	require.Equal(t, http.StatusNoContent, g.init("", body), "a guest with the wrong time is better than none")

	for _, step := range []string{"certificates", "mount /mnt/v", "host service 192.0.2.1", "thaw"} {
		g.failures[step] = errors.New(step + " is broken")
	}
	ca, err := json.Marshal(bundle(t))
	require.NoError(t, err)
	g.takeAll()
	got := g.call(http.MethodPost, "/init", "", `{"envVars":{"A":"1"},"caBundle":`+string(ca)+`,"hyperloopIP":"192.0.2.1","volumeMounts":[{"nfs_target":"h:/v","path":"/mnt/v"}]}`)
	require.Equal(t, http.StatusInternalServerError, got.status)
	for _, part := range []string{"certificates is broken", "mount /mnt/v is broken", "host service 192.0.2.1 is broken", "thaw is broken"} {
		require.Contains(t, got.body, part)
	}
	require.Contains(t, g.takeAll(), "ports on")
	require.JSONEq(t, `{"A":"1"}`, g.call(http.MethodGet, "/envs", "", "").body)
}

func TestInit_LetsNothingRunWithAnotherGuestsRandomNumbers(t *testing.T) {
	g := newGuest(t, false)
	body, err := json.Marshal(map[string]any{"accessToken": "secret", "lifecycleID": "a", "randomSeed": seed('x')})
	require.NoError(t, err)
	g.failures["reseed a"] = errors.New("the pool is broken")
	got := g.call(http.MethodPost, "/init", "", string(body))
	require.Equal(t, http.StatusInternalServerError, got.status)
	require.Contains(t, got.body, "the pool is broken")
	require.Equal(t, []string{"reseed a"}, g.takeAll(), "nothing thaws")

	delete(g.failures, "reseed a")
	require.Equal(t, http.StatusNoContent, g.init("", string(body)), "the life has not begun: asked again, it begins")
	require.Equal(t, []string{"reseed a", "identity", "thaw", "keep connections", "ports on"}, g.takeAll())
}

func TestInit_WithoutASeedReseedsNothing(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"lifecycleID":"a"}`))
	require.Equal(t, []string{"identity", "thaw", "keep connections", "ports on"}, g.takeAll())
}

func TestInit_LooksForVolumesOfEarlierLivesWhereThereMayBeAny(t *testing.T) {
	g := newGuest(t, false)
	const none, one = `[]`, `[{"nfs_target": "192.0.2.1:/v", "path": "/mnt/v"}]`
	const looked, mounted = "no volumes", "mount /mnt/v"
	g.failures = map[string]error{}
	for i, step := range []struct {
		volumes string
		fails   bool
		want    []string
	}{
		{none, true, []string{looked}},
		{none, false, []string{looked}},
		{none, false, nil},
		{one, false, []string{mounted}},
		{one, false, []string{mounted}},
		{none, false, []string{looked}},
		{none, false, nil},
	} {
		g.failures[looked] = nil
		if step.fails {
			g.failures[looked] = errors.New("no table")
		}
		g.init("", fmt.Sprintf(`{"lifecycleID": "life-%d", "volumeMounts": %s}`, i, step.volumes))
		var done []string
		for _, note := range g.takeAll() {
			if note == looked || note == mounted {
				done = append(done, note)
			}
		}
		require.Equal(t, step.want, done, "step %d", i)
	}
}

func TestInit_RefusesBadInputAndChangesNothing(t *testing.T) {
	g := newGuest(t, false)
	for name, body := range map[string]string{
		"no JSON":             `{`,
		"wrong type":          `{"envVars":[]}`,
		"bad variable":        `{"envVars":{"A=B":"1"}}`,
		"NUL in a variable":   `{"envVars":{"A":"\u0000"}}`,
		"empty variable":      `{"envVars":{"":"1"}}`,
		"bad time":            `{"timestamp":"yesterday"}`,
		"unknown user":        `{"defaultUser":"no-such-user-here"}`,
		"relative workdir":    `{"defaultWorkdir":"home"}`,
		"NUL in workdir":      `{"defaultWorkdir":"/a\u0000"}`,
		"long lifecycle":      `{"lifecycleID":"` + strings.Repeat("x", maxLifecycleBytes+1) + `"}`,
		"seed not in base64":  `{"randomSeed":"?"}`,
		"empty seed":          `{"randomSeed":""}`,
		"short seed":          `{"randomSeed":"AAAA"}`,
		"no certificate":      `{"caBundle":"hello"}`,
		"no address":          `{"hyperloopIP":"here"}`,
		"volume without path": `{"volumeMounts":[{"nfs_target":"h:/v"}]}`,
		"too many volumes":    `{"volumeMounts":[` + strings.Repeat(`{},`, maxVolumes) + `{}]}`,
		"too long":            `{"envVars":{"A":"` + strings.Repeat("x", maxInitBytes) + `"}}`,
	} {
		require.Equal(t, http.StatusBadRequest, g.init("", body), name)
	}
	require.Empty(t, g.takeAll())
	require.JSONEq(t, `{}`, g.call(http.MethodGet, "/envs", "", "").body)
}

func TestInit_OneAtATime(t *testing.T) {
	g := newGuest(t, false)
	done := make(chan int)
	const calls = 8
	for call := range calls {
		go func() { done <- g.init("", fmt.Sprintf(`{"accessToken":"secret","lifecycleID":"life-%d"}`, call)) }()
	}
	for range calls {
		require.Equal(t, http.StatusNoContent, <-done)
	}
}

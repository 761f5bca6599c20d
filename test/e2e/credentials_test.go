package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/test/e2e/guest"
)

// watched is a sandbox with everything that a client can have a credential for.
type watched struct {
	sandbox
	TrafficAccessToken string `json:"trafficAccessToken"`
	volumeID           string
	credentials        map[string]string // that the edge accepts, by name
	canary             string
}

// serverProgram answers every request, keeps all that it has seen of them, and
// writes it down.
const serverProgram = `import http.server
seen = []
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        seen.append(self.requestline + str(self.headers))
        with open('/home/user/seen', 'a') as log: log.write(seen[-1])
        self.send_response(200); self.end_headers(); self.wfile.write(b'seen')
http.server.HTTPServer(('', 8000), Handler).serve_forever()
`

func newWatched(t *testing.T) *watched {
	t.Helper()
	var volume struct{ VolumeID, Token string }
	sendJSON(t, request{method: http.MethodPost, path: "/volumes", key: validKey, body: `{"name":"watched"}`}, http.StatusCreated, &volume)
	t.Cleanup(func() { // after the sandboxes that mount it
		got := trySendLater(t, http.MethodDelete, "/volumes/"+volume.VolumeID)
		require.Equal(t, http.StatusNoContent, got)
	})
	adminToken, err := os.ReadFile(filepath.Join(running(t).DataDir, "secrets", "admin-token"))
	require.NoError(t, err)
	w := &watched{canary: "canary" + strings.ToLower(rand.Text()), volumeID: volume.VolumeID}
	w.sandbox = *createSandbox(t, `"network":{"allowPublicTraffic":false},"envVars":{"GIVEN":"to the source"},`+
		`"volumeMounts":[{"name":"watched","path":"/mnt/watched"}]`)
	require.NoError(t, json.Unmarshal(w.created, w))
	w.credentials = map[string]string{
		"the guest agent's token": w.EnvdAccessToken, "the traffic token": w.TrafficAccessToken,
		"the API key": running(t).APIKey, "the admin token": strings.TrimSpace(string(adminToken)), "the volume's token": volume.Token,
		// Those of people have the form of real ones.
		"an access token": "sk_e2b_" + strings.Repeat("0", 40-26) + hexText(13), "a session": hexText(32), "a CSRF token": hexText(32),
	}
	return w
}

func hexText(count int) string {
	content := make([]byte, count)
	_, _ = rand.Read(content)
	return hex.EncodeToString(content)
}

// trySendLater is for what is done when the test has ended.
func trySendLater(t *testing.T, method, path string) int {
	t.Helper()
	wrenn := running(t)
	outgoing, err := http.NewRequest(method, wrenn.URL()+path, nil)
	require.NoError(t, err)
	outgoing.Header.Set("X-API-Key", wrenn.APIKey)
	response, err := httpClient(t).Do(outgoing)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func sendJSON(t *testing.T, r request, wantStatus int, into any) {
	t.Helper()
	got := send(t, r)
	require.Equal(t, wantStatus, got.status, "%s %s: %s", r.method, r.path, got.body)
	require.NoError(t, json.Unmarshal(got.body, into), "body: %s", got.body)
}

// all are headers with every credential, as a client sends that knows no better.
func (w *watched) all(port int) http.Header {
	return http.Header{
		"E2b-Sandbox-Id": {w.ID}, "E2b-Sandbox-Port": {strconv.Itoa(port)},
		"X-Access-Token": {w.EnvdAccessToken}, "E2b-Traffic-Access-Token": {w.TrafficAccessToken},
		"X-Api-Key": {w.credentials["the API key"]}, "X-Admin-Token": {w.credentials["the admin token"]},
		"X-Csrf-Token": {w.credentials["a CSRF token"]},
		"Cookie":       {"wrenn_session=" + w.credentials["a session"] + "; theirs=kept"},
	}
}

// signed is the URL of a file, signed as the SDKs do.
func (w *watched) signed(operation, path string, expires time.Time) string {
	expiration := strconv.FormatInt(expires.Unix(), 10)
	sum := sha256.Sum256([]byte(strings.Join([]string{path, operation, "", w.EnvdAccessToken, expiration}, ":")))
	signature := "v1_" + base64.RawStdEncoding.EncodeToString(sum[:])
	w.credentials["the signature to "+operation+" "+path] = signature
	return "/files?" + url.Values{"path": {path}, "signature": {signature}, "signature_expiration": {expiration}}.Encode()
}

// stream sends one message of a Connect stream, waits for the first that comes, and
// leaves.
func (w *watched) stream(t *testing.T, method, message string) {
	t.Helper()
	header := w.all(guest.AgentPort)
	header.Set("Content-Type", "application/connect+json")
	header.Set("Connect-Protocol-Version", "1")
	body := append([]byte{0, 0, 0, byte(len(message) >> 8), byte(len(message))}, message...)
	outgoing, err := http.NewRequestWithContext(t.Context(), http.MethodPost, running(t).URL()+method, bytes.NewReader(body))
	require.NoError(t, err)
	outgoing.Header = header
	response, err := httpClient(t).Do(outgoing)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	var head [5]byte
	_, err = io.ReadFull(response.Body, head[:])
	require.NoError(t, err)
	require.Zero(t, head[0], "the stream ended")
}

// callEverything makes every kind of call, with every credential.
func (w *watched) callEverything(t *testing.T) {
	t.Helper()
	want := func(status int, r request) {
		t.Helper()
		got := send(t, r)
		require.Equal(t, status, got.status, "%s %s: %s", r.method, r.path, got.body)
	}
	agent := func(method, path, body string) {
		t.Helper()
		want(http.StatusOK, request{method: method, path: path, header: w.all(guest.AgentPort), body: body})
	}
	agent(http.MethodGet, "/envs", "")
	agent(http.MethodGet, "/metrics", "")
	agent(http.MethodPost, "/process.Process/List", `{}`)
	agent(http.MethodPost, "/filesystem.Filesystem/ListDir", `{"path":"/home/user"}`)
	agent(http.MethodPost, "/filesystem.Filesystem/CreateWatcher", `{"path":"/home/user"}`)
	w.stream(t, "/filesystem.Filesystem/WatchDir", `{"path":"/home/user"}`)
	w.stream(t, "/process.Process/Start", `{"process":{"cmd":"/bin/bash","args":["-i","-l"]},"pty":{"size":{"cols":80,"rows":24}}}`)

	later := time.Now().Add(time.Hour)
	bySignature := http.Header{"E2b-Sandbox-Id": {w.ID}, "E2b-Sandbox-Port": {strconv.Itoa(guest.AgentPort)}}
	for _, header := range []http.Header{w.all(guest.AgentPort), bySignature} {
		for path, content := range map[string]string{"/home/user/a": "content", "/home/user/b": strings.Repeat("x", 1<<20)} {
			upload := header.Clone()
			upload.Set("Content-Type", "application/octet-stream")
			r := request{method: http.MethodPost, path: w.signed("write", path, later), header: upload, body: content}
			want(http.StatusOK, r)
			want(http.StatusOK, request{method: http.MethodGet, path: w.signed("read", path, later), header: header})
		}
	}
	w.run(t, "cat > /home/user/server.py <<'END'\n"+serverProgram+"\nEND\nnohup python3 /home/user/server.py > /home/user/log 2>&1 & until nc -z 127.0.0.1 8000 || python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8000))' 2>/dev/null; do sleep 0.1; done")
	port := w.all(8000)
	port.Set("Authorization", "Bearer "+w.credentials["an access token"])
	port.Set("Referer", running(t).URL()+w.signed("read", "/home/user/a", later))
	for _, path := range []string{"/x?token=" + w.EnvdAccessToken, w.signed("read", "/home/user/a", later), "/"} {
		want(http.StatusOK, request{method: http.MethodGet, path: path, header: port})
	}
	seen := w.run(t, "cat /home/user/seen")
	require.Contains(t, seen, "Cookie: theirs=kept")
	require.NotContains(t, seen, secretOf(t, recordOf(t, w.ID)), "a port of the guest's own gets the host's secret")

	volume := http.Header{"Authorization": {"Bearer " + w.credentials["the volume's token"]}}
	want(http.StatusCreated, request{method: http.MethodPut, path: "/volumecontent/" + w.volumeID + "/file?path=/a", header: volume, body: "content"})
	require.Equal(t, "content", w.run(t, "cat /mnt/watched/a"))
	w.plantCanary(t)
}

// plantCanary puts a text in all the forms that are looked for into the guest's
// memory and onto its disk.
func (w *watched) plantCanary(t *testing.T) {
	t.Helper()
	w.run(t, fmt.Sprintf(`printf %%s '%s' > /home/user/canary
		(base64 -w0; echo) < /home/user/canary > /home/user/canary64; od -An -v -tx1 < /home/user/canary | tr -d ' \n' > /home/user/canary16; sync
		ALL="$(cat /home/user/canary*)" nohup sleep 100000 > /dev/null 2>&1 &`, w.canary))
}

// requireClean looks through what is kept of the sandbox's memory and disk.
func (w *watched) requireClean(t *testing.T, directory string) {
	t.Helper()
	forbidden, planted := newSearch(t, w.credentials), newSearch(t, map[string]string{"the canary": w.canary})
	for _, name := range []string{"memory", "disk"} {
		path := filepath.Join(directory, name)
		require.Subset(t, planted.in(t, path), []string{"the canary", "the canary, in base64", "the canary, in hexadecimal"}, "the search finds nothing in %s", path)
		require.Empty(t, forbidden.in(t, path), "%s holds credentials that the edge accepts", path)
	}
	require.Empty(t, forbidden.in(t, filepath.Join(directory, "devices")), "a device holds credentials that the edge accepts")
}

// TestGuests_HoldNoCredentialOfTheEdge writes a sandbox down in every way after
// every kind of call, and looks through all its memory and disk. It then attacks
// the sandbox with what another one, made from its snapshot, finds in its memory.
func TestGuests_HoldNoCredentialOfTheEdge(t *testing.T) {
	w := newWatched(t)
	w.callEverything(t)
	storage := filepath.Join(running(t).DataDir, "storage")
	earlier := manifestsOf(t, filepath.Join(storage, "snapshots"))
	var snapshot struct{ SnapshotID string }
	sendJSON(t, request{method: http.MethodPost, path: "/sandboxes/" + w.ID + "/snapshots", key: validKey, body: `{}`}, http.StatusCreated, &snapshot)
	t.Cleanup(func() { trySendLater(t, http.MethodDelete, "/templates/"+snapshot.SnapshotID) })
	var taken string
	for _, found := range manifestsOf(t, filepath.Join(storage, "snapshots")) {
		if !slices.Contains(earlier, found) {
			taken = filepath.Dir(found)
		}
	}
	t.Run("a snapshot", func(t *testing.T) { w.requireClean(t, taken) })
	t.Run("the source goes on with what it was given", func(t *testing.T) {
		require.Equal(t, "to the source", w.run(t, "echo $GIVEN"))
	})
	t.Run("what is made of a snapshot is given its own environment", func(t *testing.T) { w.attack(t, snapshot.SnapshotID, taken) })
	t.Run("a fork goes on where its parent is", func(t *testing.T) {
		var forks []struct{ Sandbox *sandbox }
		sendJSON(t, request{method: http.MethodPost, path: "/sandboxes/" + w.ID + "/fork", key: validKey, body: `{"count":1}`}, http.StatusCreated, &forks)
		fork := forks[0].Sandbox
		t.Cleanup(func() { trySendLater(t, http.MethodDelete, "/sandboxes/"+fork.ID) })
		require.Equal(t, "to the source "+fork.ID, fork.run(t, "echo $GIVEN $E2B_SANDBOX_ID"))
		require.Equal(t, http.StatusNoContent, fork.call(t, "pause", `{}`).status)
		w.credentials["the fork's token"] = fork.EnvdAccessToken
		w.requireClean(t, ownSnapshot(t, fork.ID))
	})
	t.Run("a pause", func(t *testing.T) {
		require.Equal(t, http.StatusNoContent, w.call(t, "pause", `{}`).status)
		w.requireClean(t, ownSnapshot(t, w.ID))
	})
}

func manifestsOf(t *testing.T, directory string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(directory, "*", "manifest.json"))
	require.NoError(t, err)
	return found
}

func ownSnapshot(t *testing.T, id string) string {
	t.Helper()
	found := manifestsOf(t, filepath.Join(running(t).DataDir, "storage", "sandboxes", id))
	require.Len(t, found, 1)
	return filepath.Dir(found[0])
}

// dumpProgram prints all in the memory of the guest's agent that could be a secret.
const dumpProgram = `import re, subprocess
pid = subprocess.check_output(["pgrep", "-o", "envd"]).decode().strip()
found = set()
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        area, rights = line.split()[:2]
        if not rights.startswith("rw"): continue
        start, end = (int(x, 16) for x in area.split("-"))
        while start < end:
            size = min(end - start, 1 << 20)
            try:
                memory.seek(start)
                content = memory.read(size)
            except OSError:
                break
            for words in re.findall(rb"[A-Za-z0-9_+/]{26,}", content.strip(b"\0")):
                found.update(re.findall(rb"[A-Z2-7]{26}|[0-9a-f]{64}|e2b_[0-9a-f]{40}|v1_[A-Za-z0-9+/]{43}", words))
            start += size
for secret in found: print(secret.decode())
`

// attack reads the memory of the guest agent in a sandbox made from the snapshot, as
// root, and tries on the snapshot's source all that it finds.
func (w *watched) attack(t *testing.T, snapshotID, directory string) {
	thief := createSandboxFrom(t, snapshotID, `"envVars":{"OWN":"its own"}`)
	require.Equal(t, "its own, nothing, "+thief.ID, thief.run(t, `echo "$OWN, ${GIVEN:-nothing}, $E2B_SANDBOX_ID"`))
	found := strings.Fields(thief.run(t, "sudo python3 - <<'END'\n"+dumpProgram+"\nEND"))
	require.Contains(t, found, secretOf(t, recordOf(t, thief.ID)), "the attack reads what the agent knows")
	found = append(found, secretOf(t, filepath.Join(directory, "manifest.json")), thief.EnvdAccessToken)
	for _, name := range slices.Sorted(maps.Keys(w.credentials)) {
		require.NotContains(t, found, w.credentials[name], name)
	}
	const most = 500
	for _, secret := range found[max(0, len(found)-most):] {
		header := w.atAgent()
		header.Set("X-Access-Token", secret)
		got := send(t, request{method: http.MethodGet, path: "/envs", header: header})
		require.Equal(t, http.StatusUnauthorized, got.status, "what was found opens the source: %s", got.body)
		signed := "/files?path=/etc/passwd&signature=" + url.QueryEscape(secret)
		require.Equal(t, http.StatusUnauthorized, send(t, request{method: http.MethodGet, path: signed, header: w.atAgent()}).status)
		port := http.Header{"E2b-Sandbox-Id": {w.ID}, "E2b-Sandbox-Port": {"8000"}, "E2b-Traffic-Access-Token": {secret}}
		require.Equal(t, http.StatusForbidden, send(t, request{method: http.MethodGet, path: "/", header: port}).status)
	}
}

func recordOf(t *testing.T, id string) string {
	t.Helper()
	return filepath.Join(running(t).DataDir, "storage", "sandboxes", id, "sandbox.json")
}

var secretPattern = regexp.MustCompile(`"(?:token|secret)":\s*"([A-Z2-7]{26})"`)

// secretOf is what the host has written down of its own secret.
func secretOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	match := secretPattern.FindSubmatch(content)
	require.NotNil(t, match, "%s has no secret", path)
	return string(match[1])
}

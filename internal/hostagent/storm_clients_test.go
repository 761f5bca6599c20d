package hostagent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/gen/filesystem"
	"git.omukk.dev/wrenn/sandbox/gen/filesystem/filesystemconnect"
	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
)

const (
	stopFile       = "/tmp/stop"
	writerExitCode = 7
	clientPatience = 30 * time.Second
	retryEvery     = 10 * time.Millisecond
	uploadEvery    = 100 * time.Millisecond
)

func (a *agentUnderTest) envd() *http.Client { return a.envdOf(stormSandbox) }

func (a *agentUnderTest) envdOf(id string) *http.Client {
	return &http.Client{Transport: toGuest{id, 49983, a.traffic.Transport}}
}

// writer is a command that prints numbered lines until stopFile exists, and its client,
// which connects again when its connection ends.
type writer struct {
	client processconnect.ProcessClient
	pid    uint32
	done   chan struct{}
	output bytes.Buffer
	end    *process.ProcessEvent_EndEvent
	err    error
}

func (a *agentUnderTest) startWriter(t *testing.T, pause string) *writer {
	t.Helper()
	w := &writer{client: processconnect.NewProcessClient(a.envd(), "http://guest"), done: make(chan struct{})}
	// The shell waits without starting a process, because the guest has one vCPU.
	script := fmt.Sprintf("exec 3<> <(:); i=0; until [ -e %s ]; do i=$((i+1)); echo $i; read -t %s -u 3; done; exit %d", stopFile, pause, writerExitCode)
	stream, err := w.client.Start(t.Context(), connect.NewRequest(&process.StartRequest{
		Process: &process.ProcessConfig{Cmd: "/bin/bash", Args: []string{"-c", script}},
	}))
	require.NoError(t, err)
	require.True(t, stream.Receive(), "%v", stream.Err())
	w.pid = stream.Msg().GetEvent().GetStart().GetPid()
	go func() {
		defer close(w.done)
		for stream.Receive() {
			w.take(stream.Msg().GetEvent())
		}
		stream.Close()
		w.comeBack()
	}()
	return w
}

func (w *writer) take(event *process.ProcessEvent) {
	w.output.Write(event.GetData().GetStdout())
	if end := event.GetEnd(); end != nil {
		w.end = end
	}
}

// comeBack connects repeatedly until the command has ended.
func (w *writer) comeBack() {
	deadline := time.Now().Add(clientPatience)
	for w.end == nil && time.Now().Before(deadline) {
		stream, err := w.client.Connect(context.Background(), connect.NewRequest(&process.ConnectRequest{
			Process: &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: w.pid}},
		}))
		if err == nil {
			for stream.Receive() {
				w.take(stream.Msg().GetEvent())
				deadline = time.Now().Add(clientPatience)
			}
			w.err = stream.Err()
			stream.Close()
		}
		<-time.After(retryEvery)
	}
}

// requireComplete fails the test unless every line came exactly once, and then the end.
func (w *writer) requireComplete(t *testing.T) {
	t.Helper()
	<-w.done
	require.NotNil(t, w.end, "the command's end was not heard of; the last stream ended with %v", w.err)
	require.EqualValues(t, writerExitCode, w.end.GetExitCode())
	lines := strings.Fields(w.output.String())
	require.NotEmpty(t, lines)
	for i, line := range lines {
		require.Equal(t, strconv.Itoa(i+1), line, "line %d of %d", i+1, len(lines))
	}
}

// uploads is a client that uploads files one after the other.
type uploads struct {
	agent *agentUnderTest
	done  sync.WaitGroup
	sent  []upload
}

type upload struct {
	path         string
	digest       string
	acknowledged bool
}

func (a *agentUnderTest) startUploads(ctx context.Context, seed uint64) *uploads {
	u := &uploads{agent: a}
	u.done.Go(func() {
		random := rand.NewChaCha8([32]byte{byte(seed)})
		for number := 0; ctx.Err() == nil; number++ {
			content := make([]byte, 1+random.Uint64()%(1<<20))
			_, _ = random.Read(content)
			sum := sha256.Sum256(content)
			sent := upload{path: fmt.Sprintf("/home/user/uploads/%d", number), digest: hex.EncodeToString(sum[:])}
			sent.acknowledged = a.upload(sent.path, content) == nil
			u.sent = append(u.sent, sent)
			<-time.After(uploadEvery)
		}
	})
	return u
}

func (a *agentUnderTest) upload(path string, content []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guest/files?path="+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := a.envd().Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// requireWhole fails the test unless every acknowledged file exists, every file is whole,
// and no temporary file is left.
func (u *uploads) requireWhole(t *testing.T) {
	t.Helper()
	u.done.Wait()
	there := u.digests(t)
	acknowledged := 0
	for _, sent := range u.sent {
		if sent.acknowledged {
			acknowledged++
			require.Contains(t, there, sent.path)
		}
		if digest, found := there[sent.path]; found {
			require.Equal(t, sent.digest, digest, sent.path)
		}
	}
	t.Logf("%d of %d uploads were acknowledged", acknowledged, len(u.sent))
	require.Positive(t, acknowledged)
	require.Eventually(t, func() bool {
		return u.agent.run(t, stormSandbox, "ls -A /home/user/uploads | grep -v '^[0-9]*$' || echo none") == "none"
	}, clientPatience, 200*time.Millisecond, "files that are not whole are left")
}

// digests returns the digest of each file in the guest, by its path. Each command has
// few enough files to end within the time that run gives it.
func (u *uploads) digests(t *testing.T) map[string]string {
	t.Helper()
	const filesPerCommand = 32 // of up to 1 MiB
	there := map[string]string{}
	paths := strings.Fields(u.agent.run(t, stormSandbox, "ls -d /home/user/uploads/*"))
	for chunk := range slices.Chunk(paths, filesPerCommand) {
		output := u.agent.run(t, stormSandbox, "sha256sum "+strings.Join(chunk, " "))
		for line := range strings.Lines(output) {
			digest, path, _ := strings.Cut(strings.TrimSpace(line), "  ")
			there[path] = digest
		}
		for _, path := range chunk {
			require.Contains(t, there, path, "sha256sum printed: %s", output)
		}
	}
	return there
}

// watched is a watch of a directory that has reported one new file.
type watched struct{ ended chan error }

func (a *agentUnderTest) watch(t *testing.T, id string, round int) *watched {
	t.Helper()
	client := filesystemconnect.NewFilesystemClient(a.envd(), "http://guest")
	stream, err := client.WatchDir(context.Background(), connect.NewRequest(&filesystem.WatchDirRequest{Path: "/tmp"}))
	require.NoError(t, err)
	require.True(t, stream.Receive(), "%v", stream.Err())
	require.NotNil(t, stream.Msg().GetStart())
	name := fmt.Sprintf("watched-%d", round)
	w, told := &watched{ended: make(chan error, 1)}, make(chan struct{})
	go func() {
		once := sync.OnceFunc(func() { close(told) })
		for stream.Receive() {
			if stream.Msg().GetFilesystem().GetName() == name {
				once()
			}
		}
		w.ended <- stream.Err()
		stream.Close()
	}()
	a.run(t, id, "touch /tmp/"+name)
	select {
	case <-told:
	case <-time.After(clientPatience):
		t.Fatalf("the watch did not tell of a new file in round %d", round)
	}
	return w
}

// requireEnded fails the test unless the watch ended with an error, so that its client
// watches again.
func (w *watched) requireEnded(t *testing.T) {
	t.Helper()
	select {
	case err := <-w.ended:
		require.Error(t, err)
	case <-time.After(clientPatience):
		t.Fatal("a watch outlived the pause")
	}
}

package chaos

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"time"
)

const (
	// buildBound is how long a build may take that is killed now and then.
	buildBound = 6 * time.Minute
	// uploadBytes is long enough for an upload to be killed.
	uploadBytes = 4 << 20
)

// clearFailures are the only messages that a build may end with: those of its own, and those
// that a death explains.
var clearFailures = regexp.MustCompile(`^(?:Step \d+: )?(The build was cancelled|the build was cancelled|The build's VM ended|` +
	`the agent of the build's host was restarted \d+ times)`)

// builder is a client that builds templates, one after the other, and starts a sandbox of
// each.
type builder struct {
	wrenn  *wrenn
	client *http.Client
	number int
	random *rand.Rand
	counts map[string]int
}

func newBuilder(w *wrenn, number int, seed uint64) *builder {
	return &builder{
		wrenn: w, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, number: number,
		random: rand.New(rand.NewPCG(seed, uint64(number)+1)), counts: map[string]int{},
	}
}

// order is a build and what has to be in its sandboxes.
type order struct {
	name, value          string
	templateID, buildID  string
	cancelled, mustFails bool
}

// run builds until ctx ends. Each build is followed to its end under finish.
func (b *builder) run(ctx, finish context.Context) error {
	for round := 0; ctx.Err() == nil; round++ {
		o := &order{
			name: fmt.Sprintf("chaos-%d-%d", b.number, round%3),
			// Some contents come again, also at others.
			value: fmt.Sprintf("value-%d", b.random.IntN(6)), mustFails: b.random.IntN(6) == 0,
		}
		if err := b.build(finish, o); err != nil {
			return fmt.Errorf("build %s of %s: %w", o.buildID, o.name, err)
		}
	}
	return nil
}

func (b *builder) build(ctx context.Context, o *order) error {
	if err := b.request(ctx, o); err != nil {
		return err
	}
	began := time.Now()
	if b.random.IntN(6) == 0 {
		<-time.After(time.Duration(b.random.Int64N(int64(10 * time.Second))))
		if err := b.cancel(ctx, o); err != nil {
			return err
		}
	}
	status, err := b.await(ctx, o)
	if err != nil {
		return err
	}
	if took := time.Since(began); took > buildBound {
		return fmt.Errorf("it took %s to end", took)
	}
	if status.Status == "ready" {
		if o.mustFails {
			return errors.New("it is ready although a step fails")
		}
		b.counts["builds ready"]++
		return b.start(ctx, o)
	}
	return b.checkFailure(o, status)
}

// request has a build requested, its files uploaded and it started.
func (b *builder) request(ctx context.Context, o *order) error {
	var requested struct{ TemplateID, BuildID string }
	got, err := b.ask(ctx, http.MethodPost, "/v3/templates", map[string]any{"name": o.name, "cpuCount": 1, "memoryMB": 512}, &requested)
	if err != nil || got.status != http.StatusAccepted {
		return fmt.Errorf("request: %s: %w", got, err)
	}
	o.templateID, o.buildID = requested.TemplateID, requested.BuildID
	archive, hash, err := archiveOf(o.value)
	if err != nil {
		return err
	}
	if err := b.upload(ctx, o, archive, hash); err != nil {
		return err
	}
	last := "sleep 1; cat /srv/content | sha256sum > /home/user/sum"
	if o.mustFails {
		last += "; exit 7"
	}
	step := func(kind, hash string, arguments ...string) map[string]any {
		return map[string]any{"type": kind, "args": arguments, "filesHash": hash}
	}
	got, err = b.ask(ctx, http.MethodPost, "/v2/templates/"+o.templateID+"/builds/"+o.buildID, map[string]any{
		"fromTemplate": "base",
		"steps": []map[string]any{
			step("COPY", hash, "content", "/srv/content", "root", "0644"),
			step("RUN", "", "sleep 1; head -c 16M /dev/urandom > /home/user/noise && sha256sum /home/user/noise > /home/user/noise.sum"),
			step("RUN", "", last),
		},
		"startCmd": "echo " + o.value + " > /dev/shm/started; exec sleep 1000000", "readyCmd": "test -e /dev/shm/started",
	}, nil)
	// The answer of a call that was made again: the first one has started it.
	again := got.status == http.StatusConflict && strings.Contains(string(got.body), "started already")
	if err != nil || got.status != http.StatusAccepted && !again {
		return fmt.Errorf("start: %s: %w", got, err)
	}
	return nil
}

// archiveOf is an archive of the file "content", which begins with a value.
func archiveOf(value string) (archive []byte, hash string, err error) {
	content := make([]byte, uploadBytes)
	seed := sha256.Sum256([]byte(value))
	_, _ = rand.NewChaCha8(seed).Read(content)
	copy(content, value+"\n")
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	writer := tar.NewWriter(zipped)
	err = writer.WriteHeader(&tar.Header{Name: "content", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))})
	if err == nil {
		_, err = writer.Write(content)
	}
	sum := sha256.Sum256(content)
	err = errors.Join(err, writer.Close(), zipped.Close())
	return packed.Bytes(), hex.EncodeToString(sum[:]), err
}

func (b *builder) upload(ctx context.Context, o *order, archive []byte, hash string) error {
	var link struct {
		Present bool
		URL     string
	}
	got, err := b.ask(ctx, http.MethodGet, "/templates/"+o.templateID+"/files/"+hash, nil, &link)
	if err != nil || got.status != http.StatusCreated {
		return fmt.Errorf("ask where to upload: %s: %w", got, err)
	}
	if link.Present {
		b.counts["uploads known"]++
		return nil
	}
	got, err = b.send(ctx, http.MethodPut, func() string { return link.URL }, archive, nil)
	if err != nil || got.status >= http.StatusMultipleChoices {
		return fmt.Errorf("upload: %s: %w", got, err)
	}
	b.counts["uploads"]++
	return nil
}

func (b *builder) cancel(ctx context.Context, o *order) error {
	o.cancelled = true
	got, err := b.ask(ctx, http.MethodPost, "/templates/"+o.templateID+"/builds/"+o.buildID+"/cancel", struct{}{}, nil)
	if err != nil || got.status != http.StatusNoContent && got.status != http.StatusConflict {
		return fmt.Errorf("cancel: %s: %w", got, err)
	}
	return nil
}

type buildStatus struct {
	Status string
	Reason struct{ Message, Cause, Step string }
}

// await waits for the end of a build.
func (b *builder) await(ctx context.Context, o *order) (status buildStatus, err error) {
	for deadline := time.Now().Add(buildBound); time.Now().Before(deadline); <-time.After(200 * time.Millisecond) {
		got, err := b.ask(ctx, http.MethodGet, "/templates/"+o.templateID+"/builds/"+o.buildID+"/status?limit=0", nil, &status)
		if err != nil || got.status != http.StatusOK {
			return status, fmt.Errorf("status: %s: %w", got, err)
		}
		if status.Status == "ready" || status.Status == "error" {
			return status, nil
		}
	}
	return status, fmt.Errorf("after %s it is %+v", buildBound, status)
}

func (b *builder) checkFailure(o *order, status buildStatus) error {
	reason := status.Reason
	switch {
	case o.mustFails && reason.Cause == "command_failed" && strings.Contains(reason.Message, "exit code 7"):
		b.counts["builds failed as they should"]++
	case reason.Cause == "cancelled" && !o.cancelled:
		return fmt.Errorf("it was cancelled by nobody: %+v", reason)
	case !clearFailures.MatchString(reason.Message):
		return fmt.Errorf("it failed without a clear reason: %+v", reason)
	default:
		b.counts["builds failed: "+clearFailures.FindStringSubmatch(reason.Message)[1]]++
	}
	return nil
}

// start makes a sandbox of a build that is ready, and looks for what was built.
func (b *builder) start(ctx context.Context, o *order) error {
	var created struct{ SandboxID string }
	got, err := b.ask(ctx, http.MethodPost, "/sandboxes", map[string]any{"templateID": o.buildID, "timeout": 120, "secure": true}, &created)
	if err != nil || got.status != http.StatusCreated {
		return fmt.Errorf("it is ready, and no sandbox starts: %s: %w", got, err)
	}
	const look = "head -n 1 /srv/content; cat /dev/shm/started; sha256sum < /srv/content | cmp - /home/user/sum && sha256sum -c --quiet /home/user/noise.sum && echo whole"
	want := o.value + "\n" + o.value + "\nwhole"
	err = b.wrenn.peace.eventually(ctx, patience, 200*time.Millisecond, func() error {
		command := b.wrenn.Command(ctx, "sandbox", "exec", created.SandboxID, "--", "sh", "-c", look)
		output, err := command.Output()
		switch {
		case err != nil:
			return again(fmt.Errorf("%w: %s", err, output))
		case strings.TrimSpace(string(output)) != want:
			return fmt.Errorf("its sandbox has %q, want %q", output, want)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.counts["sandboxes started"]++
	got, err = b.ask(ctx, http.MethodDelete, "/sandboxes/"+created.SandboxID, nil, nil)
	if err != nil || got.status != http.StatusNoContent && got.status != http.StatusNotFound {
		return fmt.Errorf("kill its sandbox: %s: %w", got, err)
	}
	return nil
}

// clear deletes every template and sandbox that the builder may have left.
func (b *builder) clear(ctx context.Context) error {
	var sandboxes []struct{ SandboxID string }
	if got, err := b.ask(ctx, http.MethodGet, "/v2/sandboxes?state=running,paused", nil, &sandboxes); err != nil || got.status != http.StatusOK {
		return fmt.Errorf("list sandboxes: %s: %w", got, err)
	}
	for _, one := range sandboxes {
		if got, err := b.ask(ctx, http.MethodDelete, "/sandboxes/"+one.SandboxID, nil, nil); err != nil || got.status >= http.StatusInternalServerError {
			return fmt.Errorf("kill a sandbox: %s: %w", got, err)
		}
	}
	var templates []struct {
		TemplateID string
		Names      []string
	}
	if got, err := b.ask(ctx, http.MethodGet, "/templates", nil, &templates); err != nil || got.status != http.StatusOK {
		return fmt.Errorf("list templates: %s: %w", got, err)
	}
	for _, one := range templates {
		if !strings.Contains(strings.Join(one.Names, " "), "chaos-") {
			continue
		}
		got, err := b.ask(ctx, http.MethodDelete, "/templates/"+one.TemplateID, nil, nil)
		if err != nil || got.status >= http.StatusMultipleChoices && got.status != http.StatusNotFound {
			return fmt.Errorf("delete template %s: %s: %w", one.TemplateID, got, err)
		}
	}
	return nil
}

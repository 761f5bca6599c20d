package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
)

// Request is work for the guest agent's program in its mode for builds, which package
// buildstep of the agent's module describes. Exactly one field is set.
type Request struct {
	User    *User     `json:"user,omitempty"`
	Workdir *Workdir  `json:"workdir,omitempty"`
	Status  *struct{} `json:"status,omitempty"`
	Settle  *struct{} `json:"settle,omitempty"`

	Profile        *Profile        `json:"profile,omitempty"`
	Copy           *Copy           `json:"copy,omitempty"`
	Pack           *Pack           `json:"pack,omitempty"`
	Download       *Download       `json:"download,omitempty"`
	CheckURL       *CheckURL       `json:"checkURL,omitempty"`
	MountSecret    *MountSecret    `json:"mountSecret,omitempty"`
	UnmountSecrets *UnmountSecrets `json:"unmountSecrets,omitempty"`
}

// User finds a user, or makes it.
type User struct {
	Name      string `json:"name"`
	Sudo      bool   `json:"sudo,omitempty"`
	MustExist bool   `json:"mustExist,omitempty"`
}

// Workdir makes a directory.
type Workdir struct {
	Path  string `json:"path"`
	Owner string `json:"owner"`
}

// Profile has login shells begin with a PATH; empty for the image's own.
type Profile struct {
	Path string `json:"path"`
}

// Copy unpacks the archive that is sent to it; with Content, what is sent is the file.
type Copy struct {
	Sources     []string `json:"sources"`
	Destination string   `json:"destination"`
	Owner       string   `json:"owner"`
	Mode        string   `json:"mode,omitempty"`
	Extract     bool     `json:"extract,omitempty"`
	Content     bool     `json:"content,omitempty"`
}

// Pack writes an archive of files to its output, or only hashes them.
type Pack struct {
	Sources    []string `json:"sources"`
	DigestOnly bool     `json:"digestOnly,omitempty"`
}

// Download copies a file from a URL. Certificates that the guest may lack are sent to it.
type Download struct {
	URL         string `json:"url"`
	Destination string `json:"destination"`
	Owner       string `json:"owner"`
	Mode        string `json:"mode,omitempty"`
	SHA256      string `json:"sha256,omitempty"`
}

// CheckURL looks whether a URL has what it had. It is sent what Download is.
type CheckURL struct {
	URL          string `json:"url"`
	SHA256       string `json:"sha256"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// MountSecret makes what is sent to it a file in memory.
type MountSecret struct {
	Path  string `json:"path"`
	Owner string `json:"owner"`
}

// UnmountSecrets removes such files.
type UnmountSecrets struct {
	Paths []string `json:"paths"`
}

// Result is what was found or done.
type Result struct {
	Failure *Failure `json:"failure"`
	// Changed: something in the file system is another than before.
	Changed bool `json:"changed"`
	// Name is a user's, or "user:group".
	Name   string `json:"name"`
	Home   string `json:"home"`
	Digest string `json:"digest"`
	// ETag and LastModified are of a URL, with Digest.
	ETag         string `json:"etag"`
	LastModified string `json:"lastModified"`
	// OutOfMemoryKills counts since the boot.
	OutOfMemoryKills int64 `json:"outOfMemoryKills"`
	DiskFreeBytes    int64 `json:"diskFreeBytes"`
}

// Failure is why the work was not done, in the guest's words.
type Failure struct { //nolint:errname // the word of the protocol with the guest
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Codes of failures.
const (
	CodeNoSpace  = "no_space"
	CodeMissing  = "file_missing"
	CodeMismatch = "hash_mismatch"
)

// Error is the guest's message.
func (f *Failure) Error() string { return f.Message }

const (
	// agentProgram is the guest agent's own, wherever the image has it: the path is looked
	// up in the process that the agent starts.
	agentProgram  = "/proc/self/exe"
	agentArgument = "build-step"
	// maxResultBytes is many times the result of an honest guest.
	maxResultBytes = 64 << 10
)

// Do does work in the guest, as root. A Failure is returned as the error, too.
func (m *Machine) Do(ctx context.Context, request Request, stdin io.Reader, stdout io.Writer) (Result, error) {
	encoded, err := json.Marshal(request)
	if err != nil {
		return Result{}, fmt.Errorf("encode work for the guest: %w", err)
	}
	if stdout == nil {
		stdout = io.Discard
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var report tail
	exit, err := m.Execute(ctx, envdclient.Command{
		Path: agentProgram, Arguments: []string{agentArgument, string(encoded)}, User: "root", Directory: "/", Stdin: stdin,
	}, envdclient.Follower{
		Stderr: report.add,
		Stdout: func(data []byte) {
			if _, err := stdout.Write(data); err != nil {
				cancel(err)
			}
		},
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return Result{}, cause
	}
	if err != nil {
		return Result{}, err
	}
	var result Result
	if err := json.Unmarshal(report.lastLine(), &result); err != nil {
		return Result{}, fmt.Errorf("the guest agent cannot do steps of builds, and ended with %s", exit.Status)
	}
	if result.Failure != nil {
		return result, result.Failure
	}
	return result, nil
}

// tail keeps the end of an output.
type tail struct{ kept []byte }

func (t *tail) add(data []byte) {
	t.kept = append(t.kept, data...)
	if excess := len(t.kept) - maxResultBytes; excess > 0 {
		t.kept = append(t.kept[:0], t.kept[excess:]...)
	}
}

func (t *tail) lastLine() []byte {
	text := bytes.TrimRight(t.kept, "\n")
	return text[bytes.LastIndexByte(text, '\n')+1:]
}

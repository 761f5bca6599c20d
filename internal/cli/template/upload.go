package template

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/buildcontext"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// uploads are the files that a build copies from its directory.
type uploads struct {
	directory *buildcontext.Directory
	bySteps   map[string]*buildcontext.Files
	order     []string
}

// findFiles finds the files of each step that copies any.
func findFiles(directory, dockerfile string, plan planned) (*uploads, error) {
	found := &uploads{bySteps: map[string]*buildcontext.Files{}}
	if len(plan.Uploads) == 0 {
		return found, nil
	}
	var err error
	if found.directory, err = buildcontext.Open(directory, dockerfile); err != nil {
		return nil, err
	}
	for _, upload := range plan.Uploads {
		files, err := found.directory.Files(upload.Sources, upload.Excludes)
		if err != nil {
			found.close()
			return nil, fmt.Errorf("step %s: %w", upload.Step, err)
		}
		found.bySteps[upload.Step] = files
		found.order = append(found.order, upload.Step)
	}
	return found, nil
}

func (u *uploads) close() {
	if u.directory != nil {
		_ = u.directory.Close() // it was only read
	}
}

// hashes are the hashes of the files by step.
func (u *uploads) hashes() map[string]string {
	hashes := make(map[string]string, len(u.bySteps))
	for step, files := range u.bySteps {
		hashes[step] = files.Hash
	}
	return hashes
}

// upload uploads what the template's host does not have.
func (u *uploads) upload(ctx context.Context, a *apiclient.API, templateID string, messages io.Writer) error {
	done := map[string]bool{}
	for _, step := range u.order {
		files := u.bySteps[step]
		if done[files.Hash] {
			continue
		}
		done[files.Hash] = true
		var answer struct {
			Present bool   `json:"present"`
			URL     string `json:"url"`
		}
		if _, err := a.Call(ctx, http.MethodGet, path(templateID, "/files/"+files.Hash), nil, &answer); err != nil {
			return fmt.Errorf("upload files of step %s: %w", step, err)
		}
		if answer.Present {
			continue
		}
		fmt.Fprintf(messages, "uploading %d files of step %s, %d KiB before compression\n", files.Count, step, (files.Bytes+1023)>>10)
		if err := put(ctx, a, answer.URL, files); err != nil {
			return fmt.Errorf("upload files of step %s: %w", step, err)
		}
	}
	return nil
}

// put packs the files into a temporary file, whose size the upload has to say first, and
// sends that.
func put(ctx context.Context, a *apiclient.API, address string, files *buildcontext.Files) (err error) {
	packed, err := os.CreateTemp("", "wrenn-upload-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, packed.Close(), os.Remove(packed.Name())) }()
	if err := files.WriteTar(packed); err != nil {
		return err
	}
	size, err := packed.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, address, io.NopCloser(packed))
	if err != nil {
		return err
	}
	request.ContentLength = size
	response, err := a.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return apiclient.ReadRefusal(response)
	}
	return nil
}

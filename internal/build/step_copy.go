package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/build/archives"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
)

// copy copies files into the guest, which unpacks them.
func (s *stage) copy(ctx context.Context, files plan.Copy) (_ outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	archive, err := s.openFiles(files)
	if err != nil {
		return outcome{}, err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	request := machine.Copy{
		Sources: files.Sources, Destination: files.Destination, Owner: s.ownerOf(files.Owner), Mode: files.Mode, Extract: files.Extract,
		Content: files.Content != nil,
	}
	_, err = s.machine.Do(ctx, machine.Request{Copy: &request}, archive, nil)
	return outcome{changed: true, context: s.context}, err
}

// ownerOf is who gets files: the current user unless a step says otherwise.
func (s *stage) ownerOf(owner string) string {
	if owner != "" {
		return owner
	}
	return s.context.User
}

// openFiles opens what a step copies: an archive, or the content of a file.
func (s *stage) openFiles(files plan.Copy) (io.ReadCloser, error) {
	switch {
	case files.Content != nil:
		return io.NopCloser(bytes.NewReader(*files.Content)), nil
	case s.packed != nil:
		_, err := s.packed.Seek(0, io.SeekStart) // the step may be done once more
		return io.NopCloser(s.packed), err
	}
	archive, err := s.config.Archives.Open(s.request.TeamID, files.FilesHash)
	if errors.Is(err, archives.ErrNotFound) {
		return nil, &Failure{Cause: CauseFileMissing, cause: err, Message: fmt.Sprintf(
			"The files for %s were not uploaded to the host that builds, or are there no longer. Build again: the client then uploads them again", files.Destination)}
	}
	return archive, err
}

// closePacked removes the files of another stage.
func (s *stage) closePacked() error {
	if s.packed == nil {
		return nil
	}
	packed := s.packed
	s.packed = nil
	return packed.Close()
}

// opening reads files out of a layer, and returns their digest.
type opening func(ctx context.Context) (io.ReadSeekCloser, string, error)

// originOf names where files of another stage or image come from, and how they are read.
func (s *stage) originOf(ctx context.Context, files plan.Copy) (origin string, open opening, err error) {
	if files.FromStage != nil {
		layerID := s.stages[*files.FromStage].layerID
		return layerID, func(ctx context.Context) (io.ReadSeekCloser, string, error) {
			return s.pack(ctx, layerID, files.Sources)
		}, nil
	}
	from, err := s.resolve(ctx, files.FromImage)
	if err != nil {
		return "", nil, err
	}
	return from.Digest, func(ctx context.Context) (io.ReadSeekCloser, string, error) {
		return s.packImage(ctx, files, from)
	}, nil
}

// packImage reads files out of an image.
func (s *stage) packImage(ctx context.Context, files plan.Copy, from *image.Image) (_ io.ReadSeekCloser, _ string, err error) {
	release, err := s.admitSecond()
	if err != nil {
		return nil, "", err
	}
	defer release()
	end, started, err := s.imageStage(ctx, s.report(stepBase, stepBase), "Copy from "+files.FromImage.Reference, from)
	if err != nil {
		return nil, "", err
	}
	if started == nil {
		return s.pack(ctx, end.layerID, files.Sources)
	}
	defer func() { err = errors.Join(err, started.Stop()) }()
	return s.packIn(ctx, started, files.Sources)
}

// pack reads files out of another layer, in a VM of its own: the host does not look into
// disks.
func (s *stage) pack(ctx context.Context, layerID string, sources []string) (_ io.ReadSeekCloser, digest string, err error) {
	release, err := s.admitSecond()
	if err != nil {
		return nil, "", err
	}
	defer release()
	other, err := s.boot(ctx, layerID, asRoot)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, other.Stop()) }()
	return s.packIn(ctx, other, sources)
}

// admitSecond reserves room for a VM beside the stage's own. Where there is none, the
// stage's is ended: all that it has done is in its layer, from which it is booted again.
func (s *stage) admitSecond() (release func(), err error) {
	if s.machine == nil {
		return func() {}, nil // the build's own room
	}
	release, err = s.config.Admit(admission.Size{VCPUCount: s.request.VCPUCount, MemoryMiB: s.request.MemoryMiB})
	if errors.Is(err, admission.ErrNoRoom) {
		return func() {}, s.stopMachine()
	}
	return release, err
}

// packIn reads files out of a VM. The archive is a file that is removed when it is closed.
func (a *attempt) packIn(ctx context.Context, other *machine.Machine, sources []string) (_ io.ReadSeekCloser, digest string, err error) {
	file, err := os.CreateTemp(a.directory, "files-")
	if err != nil {
		return nil, "", fmt.Errorf("copy from another stage: %w", err)
	}
	archive := &removedFile{File: file}
	defer func() {
		if err != nil {
			err = errors.Join(err, archive.Close())
		}
	}()
	// A guest sends at most what its disk holds, and what the archive adds to each file.
	bounded := &boundedWriter{to: file, left: 2 * int64(a.request.DiskMiB) << 20}
	packed, err := other.Do(ctx, machine.Request{Pack: &machine.Pack{Sources: sources}}, nil, bounded)
	if err != nil {
		return nil, "", err
	}
	_, err = file.Seek(0, io.SeekStart)
	return archive, packed.Digest, err
}

// removedFile is a file that is removed when it is closed.
type removedFile struct{ *os.File }

func (f *removedFile) Close() error { return errors.Join(f.File.Close(), os.Remove(f.Name())) }

// errTooMuch is returned for a guest that sends more than it can have.
var errTooMuch = errors.New("the guest sends more than its disk can hold")

type boundedWriter struct {
	to   io.Writer
	left int64
}

func (w *boundedWriter) Write(data []byte) (int, error) {
	if w.left -= int64(len(data)); w.left < 0 {
		return 0, errTooMuch
	}
	return w.to.Write(data)
}

package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/build/layer"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Images makes disks of images in registries.
type Images interface {
	// Resolve asks the registry for an image.
	Resolve(ctx context.Context, source image.Source, platform image.Platform) (*image.Image, error)
	// WriteDisk makes a disk of an image.
	WriteDisk(ctx context.Context, of *image.Image, target string, options image.DiskOptions) error
	// WriteEmptyDisk makes a disk with an empty file system.
	WriteEmptyDisk(ctx context.Context, target string, options image.DiskOptions) error
}

// baseFromImage makes a layer of an image's disk.
func (s *stage) baseFromImage(ctx context.Context, from *plan.Image) (err error) {
	resolved, err := s.resolve(ctx, from)
	if err != nil {
		return err
	}
	s.imageDigest = resolved.Digest
	s.stageEnd, s.machine, err = s.imageStage(ctx, s.report(stepBase, stepBase), "FROM "+from.Reference, resolved)
	return err
}

// resolve asks the registry, once in a build for each image.
func (a *attempt) resolve(ctx context.Context, from *plan.Image) (*image.Image, error) {
	if known := a.images[from.Reference]; known != nil {
		return known, nil
	}
	resolved, err := a.config.Images.Resolve(ctx, from.Source(), image.DefaultPlatform)
	if err != nil {
		return nil, explainImage(err)
	}
	a.images[from.Reference] = resolved
	return resolved, nil
}

// imageStage is a stage that has an image and nothing else. Unless it was in the cache, a
// VM runs that has its files.
func (a *attempt) imageStage(ctx context.Context, report *report, text string, of *image.Image) (stageEnd, *machine.Machine, error) {
	return a.diskStage(ctx, report, fresh{
		key: plan.NewKey("image", of.Digest, a.request.DiskMiB, a.request.ImageDefaults, a.request.Init), text: text,
		context: a.imageContext(of.Config), user: userOf(of.Config, a.request.ImageDefaults),
		write: func(path string) error {
			return a.config.Images.WriteDisk(ctx, of, path, image.DiskOptions{Format: a.disks.Format(), MiB: a.request.DiskMiB, Progress: report.pulled()})
		},
	})
}

// baseFromScratch makes a layer of an empty disk.
func (s *stage) baseFromScratch(ctx context.Context) (err error) {
	s.stageEnd, s.machine, err = s.diskStage(ctx, s.report(stepBase, stepBase), fresh{
		key: plan.NewKey("scratch", s.request.DiskMiB, s.request.Init), text: "FROM scratch",
		context: plan.Context{Workdir: "/"}, user: "root",
		write: func(path string) error {
			return s.config.Images.WriteEmptyDisk(ctx, path, image.DiskOptions{Format: s.disks.Format(), MiB: s.request.DiskMiB})
		},
	})
	return err
}

// fresh is a disk that no guest has booted yet.
type fresh struct {
	key     plan.Key
	text    string
	context plan.Context
	user    string // who runs the first step; empty for the one that every guest has
	write   func(path string) error
}

// diskStage writes a disk, prepares it in a guest, and makes a layer of it. A VM runs that
// has its files, unless the layer was in the cache.
func (a *attempt) diskStage(ctx context.Context, report *report, of fresh) (_ stageEnd, _ *machine.Machine, err error) {
	if entry, found := a.find(of.key); found && !a.request.Force {
		report.cached(of.text)
		return stageEnd{layerID: entry.LayerID, context: entry.Context}, nil, nil
	}
	report.announce(of.text)
	var bytes int64
	defer func() { report.done(bytes) }()
	started, err := a.bootFresh(ctx, of)
	if err != nil {
		return stageEnd{}, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, started.Stop())
		}
	}()
	if of.context, err = a.prepare(ctx, report, started, of); err != nil {
		return stageEnd{}, nil, err
	}
	var entry layer.Entry
	err = started.Capture(ctx, a.disks, func(diskPath string) error {
		entry, bytes, err = a.addLayer(ctx, layer.Added{
			TeamID: a.request.TeamID, Key: of.key, Disk: a.disks.Source(diskPath), DiskMiB: a.request.DiskMiB, Context: of.context,
		})
		return err
	})
	return stageEnd{layerID: entry.LayerID, context: of.context}, started, err
}

// bootFresh writes a disk and boots it.
func (a *attempt) bootFresh(ctx context.Context, of fresh) (_ *machine.Machine, err error) {
	written := filepath.Join(a.directory, "image")
	if err := of.write(written); err != nil {
		return nil, explainImage(err)
	}
	defer func() { err = errors.Join(err, os.Remove(written)) }()
	directory := filepath.Join(a.directory, "image.booted")
	base, err := snapshot.TakeTransient(ctx, a.disks.Source(written), snapshot.Manifest{DiskMiB: a.request.DiskMiB, DiskOnly: true}, directory)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, base.Remove()) }()
	return a.bootDisk(ctx, base, asRoot)
}

// userOf is who runs the first step after an image; empty for the user that every guest
// has.
func userOf(config image.Config, imageDefaults bool) string {
	if config.User == "" && imageDefaults {
		return "root"
	}
	return config.User
}

var environmentName = regexp.MustCompile(`^[^=\x00]+$`)

// imageContext is what an image says of its commands. Without a directory it is the
// user's home or, by the rules of Dockerfiles, the root.
func (a *attempt) imageContext(config image.Config) plan.Context {
	c := plan.Context{Workdir: config.WorkingDir, Entrypoint: config.Entrypoint, Command: config.Cmd}
	if a.request.ImageDefaults {
		c.Shell = []string{"/bin/sh", "-c"}
		if len(config.Shell) > 0 {
			c.Shell = config.Shell
		}
		if c.Workdir == "" {
			c.Workdir = "/"
		}
	}
	if c.Workdir != "" {
		c.Workdir = plan.Context{Workdir: "/"}.Resolve(c.Workdir)
	}
	for _, variable := range config.Env {
		name, value, found := strings.Cut(variable, "=")
		if !found || !environmentName.MatchString(name) || strings.ContainsRune(value, 0) {
			continue
		}
		if c.Env == nil {
			c.Env = make(map[string]string)
		}
		c.Env[name] = value
	}
	return c
}

// pulled logs each layer once it is there.
func (r *report) pulled() func(image.Progress) {
	return func(progress image.Progress) {
		if progress.Bytes < progress.TotalBytes {
			return
		}
		const mebibyte = 1 << 20
		what := "Pulled"
		if progress.Stage == image.Unpacking {
			what = "Unpacked"
		}
		r.say(fmt.Sprintf("%s layer %d of %d (%.1f MiB)", what, progress.Layer, progress.Layers, float64(progress.TotalBytes)/mebibyte))
	}
}

var imageCauses = map[image.Cause]Cause{
	image.NotFound:            CauseImageNotFound,
	image.Unauthorized:        CauseImageUnauthorized,
	image.WrongPlatform:       CauseWrongPlatform,
	image.RegistryUnreachable: CauseRegistryUnreachable,
	image.Invalid:             CauseImageInvalid,
	image.NoSpace:             CauseNoSpace,
}

func explainImage(err error) error {
	var known *image.Error
	if !errors.As(err, &known) {
		return err
	}
	return &Failure{Cause: imageCauses[known.Cause], Message: known.Message, cause: err}
}

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
	// WriteEmptyDisk makes a disk of a size in MiB with an empty file system.
	WriteEmptyDisk(ctx context.Context, target string, diskMiB int) error
}

// baseFromImage makes a layer of an image's disk.
func (a *attempt) baseFromImage(ctx context.Context, from *plan.Image) (stageEnd, error) {
	report := a.report(stepBase, stepBase)
	resolved, err := a.resolve(ctx, from)
	if err != nil {
		return stageEnd{}, err
	}
	a.imageDigest = resolved.Digest
	return a.imageStage(ctx, report, "FROM "+from.Reference, resolved)
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

// imageStage is a stage that has an image and nothing else.
func (a *attempt) imageStage(ctx context.Context, report *report, text string, of *image.Image) (stageEnd, error) {
	key := plan.NewKey("image", of.Digest, a.request.DiskMiB, a.request.ImageDefaults)
	if !a.request.Force {
		if entry, found := a.find(key); found {
			report.cached(text)
			return stageEnd{layerID: entry.LayerID, context: entry.Context}, nil
		}
	}
	report.announce(text)
	disk := filepath.Join(a.directory, "image")
	err := a.config.Images.WriteDisk(ctx, of, disk, image.DiskOptions{MiB: a.request.DiskMiB, Progress: report.pulled()})
	if err != nil {
		return stageEnd{}, explainImage(err)
	}
	end, bytes, err := a.addDisk(ctx, key, disk, a.imageContext(of.Config), userOf(of.Config, a.request.ImageDefaults))
	report.done(bytes)
	return end, err
}

// baseFromScratch makes a layer of an empty disk.
func (a *attempt) baseFromScratch(ctx context.Context) (stageEnd, error) {
	report := a.report(stepBase, stepBase)
	key := plan.NewKey("scratch", a.request.DiskMiB)
	if entry, found := a.find(key); found && !a.request.Force {
		report.cached("FROM scratch")
		return stageEnd{layerID: entry.LayerID, context: entry.Context}, nil
	}
	report.announce("FROM scratch")
	disk := filepath.Join(a.directory, "image")
	if err := a.config.Images.WriteEmptyDisk(ctx, disk, a.request.DiskMiB); err != nil {
		return stageEnd{}, explainImage(err)
	}
	end, bytes, err := a.addDisk(ctx, key, disk, plan.Context{Workdir: "/"}, "root")
	report.done(bytes)
	return end, err
}

// addDisk adds a disk that was just made, and removes the file. The context's user is
// looked up in it.
func (a *attempt) addDisk(ctx context.Context, key plan.Key, disk string, begins plan.Context, user string) (_ stageEnd, bytes int64, err error) {
	defer func() { err = errors.Join(err, os.Remove(disk)) }()
	diskMiB := a.request.DiskMiB
	added := layer.Added{TeamID: a.request.TeamID, Key: key, DiskPath: disk, DiskMiB: diskMiB, Context: withUser(begins, user, homes[user])}
	if _, known := homes[user]; known {
		entry, bytes, err := a.addLayer(ctx, added)
		return stageEnd{layerID: entry.LayerID, context: added.Context}, bytes, err
	}
	added.Key = plan.NewKey("image without its user", key)
	before, bytes, err := a.addLayer(ctx, added)
	if err != nil {
		return stageEnd{}, 0, err
	}
	started, err := a.boot(ctx, before.LayerID, snapshot.Defaults{})
	if err != nil {
		return stageEnd{}, bytes, err
	}
	defer func() { err = errors.Join(err, started.Stop()) }()
	found, err := started.Do(ctx, machine.Request{User: &machine.User{Name: user}}, nil, nil)
	if err != nil {
		return stageEnd{}, bytes, err
	}
	added.Key, added.ParentID, added.Context = key, before.LayerID, withUser(begins, found.Name, found.Home)
	var entry layer.Entry
	err = started.Capture(ctx, func(diskPath string) error {
		added.DiskPath = diskPath
		entry, _, err = a.addLayer(ctx, added)
		return err
	})
	return stageEnd{layerID: entry.LayerID, context: added.Context}, bytes, err
}

// homes are those of the users that every guest has.
var homes = map[string]string{"root": "/root", plan.DefaultUser: plan.DefaultHome}

func withUser(c plan.Context, user, home string) plan.Context {
	c.User, c.Home = user, home
	if c.Workdir == "" {
		c.Workdir = home
	}
	return c
}

// userOf is who runs the first step after an image.
func userOf(config image.Config, imageDefaults bool) string {
	switch {
	case config.User != "":
		return config.User
	case imageDefaults:
		return "root"
	default:
		return plan.DefaultUser
	}
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

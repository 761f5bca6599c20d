package hostagent

import (
	"context"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/template"
)

// guestImage is the image that guests boot from. It is built once, when it is first
// needed: to probe for KVM, or for the base template.
type guestImage struct {
	config Config
	built  template.Image
}

// ensure returns the image, and builds it unless it is built.
func (g *guestImage) ensure(ctx context.Context) (image template.Image, err error) {
	if g.built != (template.Image{}) {
		return g.built, nil
	}
	g.built, err = template.BuildImage(ctx, template.ImageOptions{
		CacheDir: g.config.CacheDir,
		EnvdPath: g.config.EnvdPath,
		DiskMiB:  g.config.DiskMiB,
		Progress: g.config.Progress,
		Log:      g.config.Log,
	})
	return g.built, err
}

// makeBase makes the base template's snapshot, unless an earlier start has made it.
func makeBase(ctx context.Context, config Config, m *machine, image template.Image) (*snapshot.Snapshot, error) {
	vcpus := config.VCPUCount
	if vcpus == 0 {
		vcpus = defaultVCPUCount(m.driver.Accelerator())
	}
	return template.Base{
		Image: image, Driver: m.driver, DriverVersion: m.driver.Maker().Version, Network: m.network,
		Dir:       m.path("templates"),
		VCPUCount: vcpus, MemoryMiB: config.MemoryMiB,
		Progress: config.Progress, Log: config.Log,
	}.Ensure(ctx)
}

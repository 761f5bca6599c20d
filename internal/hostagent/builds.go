package hostagent

import (
	"cmp"
	"context"
	"runtime"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/build"
	"git.omukk.dev/wrenn/sandbox/internal/build/archives"
	"git.omukk.dev/wrenn/sandbox/internal/build/layer"
	buildmachine "git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/size"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Builds bound what builds of templates may use of a host.
type Builds struct {
	// Max is how many run at a time; 0 is half as many as the host has CPUs, and at least
	// two.
	Max int `env:"WRENN_MAX_BUILDS" flag:"max-builds" default:"0" min:"0" help:"builds of templates that run at a time, 0 for half as many as there are CPUs and at least two"`
	// CacheMiB bounds the layers that steps of builds have made, UploadsMiB the files that
	// clients have uploaded for them. Those that were not used for the longest time go
	// first. 0 is a share of the disk.
	CacheMiB   int64 `env:"WRENN_BUILD_CACHE_MIB" flag:"build-cache-mib" default:"0" min:"0" help:"disk in MiB for cached layers of builds, 0 for a fifth of the disk"`
	UploadsMiB int64 `env:"WRENN_BUILD_UPLOADS_MIB" flag:"build-uploads-mib" default:"0" min:"0" help:"disk in MiB for files uploaded for builds, 0 for a twentieth of the disk"`
	// ImagesMiB bounds what is kept of images in registries, twice: their layers as they are
	// there, and the disks made of them.
	ImagesMiB int64 `env:"WRENN_IMAGE_CACHE_MIB" flag:"image-cache-mib" default:"0" min:"0" help:"disk in MiB for pulled images and, once more, for disks made of them, 0 for a tenth of the disk each"`
	// SizesMiB bounds the snapshots of templates in other sizes than their own, and
	// SizesUnusedHours how long one is kept that nobody uses.
	SizesMiB         int64 `env:"WRENN_SIZE_CACHE_MIB" flag:"size-cache-mib" default:"0" min:"0" help:"disk in MiB for snapshots of templates in sizes other than their own, 0 for a tenth of the disk"`
	SizesUnusedHours int   `env:"WRENN_SIZE_UNUSED_HOURS" flag:"size-unused-hours" default:"168" min:"1" help:"hours after which a template's snapshot in another size is removed that was not used"`
	// InsecureRegistries and PrivateRegistries are hosts, with ports where those are unusual.
	InsecureRegistries []string `env:"WRENN_INSECURE_REGISTRIES" flag:"insecure-registries" form:"hosts such as registry.example.com:5000, separated by commas" help:"registries, separated by commas, that are reached without TLS and may be at private addresses"`
	PrivateRegistries  []string `env:"WRENN_PRIVATE_REGISTRIES" flag:"private-registries" form:"hosts such as registry.example.com:5000, separated by commas" help:"registries, separated by commas, that may be at private addresses"`
	RegistryCAFile     string   `env:"WRENN_REGISTRY_CA_FILE" flag:"registry-ca-file" help:"file of certificates, in PEM, of authorities that are trusted for registries beside the system's"`
}

const (
	cacheDivisor   = 5
	uploadsDivisor = 20
	imagesDivisor  = 10
	sizesDivisor   = 10
	minBuilds      = 2
)

// complete replaces zeros, for a disk of a size.
func (b Builds) complete(diskBytes uint64) (most int, cacheBytes, uploadBytes, imageBytes int64) {
	const mebibyte = 1 << 20
	most, cacheBytes, uploadBytes, imageBytes = b.Max, b.CacheMiB*mebibyte, b.UploadsMiB*mebibyte, b.ImagesMiB*mebibyte
	if most == 0 {
		most = max(runtime.NumCPU()/2, minBuilds)
	}
	if cacheBytes == 0 {
		cacheBytes = int64(diskBytes / cacheDivisor)
	}
	if uploadBytes == 0 {
		uploadBytes = int64(diskBytes / uploadsDivisor)
	}
	if imageBytes == 0 {
		imageBytes = int64(diskBytes / imagesDivisor)
	}
	return most, cacheBytes, uploadBytes, imageBytes
}

func (b Builds) registries() image.Registries {
	return image.Registries{Insecure: b.InsecureRegistries, Private: b.PrivateRegistries, CAFile: b.RegistryCAFile}
}

// usersOfVMs is how many user IDs are for VMs, from Config.FirstUser on. The next one is
// for processes that read images.
const usersOfVMs = 1 << 15

// openBuilds ends the builds of the agent before, and keeps their layers. When the agent
// stops, its builds are cancelled.
func openBuilds(ctx context.Context, config Config, m *machine, guestImage template.Image, sandboxes *sandbox.Manager, parts *boot.Sequence) (*builds, error) {
	diskBytes, _, err := disk.Usage(m.storage.Dir)
	if err != nil {
		return nil, err
	}
	most, cacheBytes, uploadBytes, imageBytes := config.Builds.complete(diskBytes)
	layers, err := layer.Open(m.path("layers"), cacheBytes, config.Log)
	if err != nil {
		return nil, err
	}
	files, err := archives.Open(m.path("uploads"), uploadBytes, config.Log)
	if err != nil {
		return nil, err
	}
	images, err := image.Open(image.StoreConfig{
		BlobDir: m.path("images/blobs"), DiskDir: m.path("images/disks"), BlobBytes: imageBytes, DiskBytes: imageBytes,
		ReserveBytes: int64(config.Limits.DiskReserveMiB) << 20, Registries: config.Builds.registries(),
		User: cmp.Or(config.FirstUser, network.DefaultFirstUser) + usersOfVMs, Log: config.Log,
	})
	if err != nil {
		return nil, err
	}
	guests := buildmachine.NewHost(guest.Config{Driver: m.driver, Network: m.network, Cgroups: m.cgroups, DiskLimits: m.diskLimits, Log: config.Log})
	guests.SetBoot(template.ColdBoot(guestImage))
	building := build.Config{
		Dir: m.path("builds"), SharedDir: m.path("wrenn"), WriteDirectory: guestImage.WriteDirectory, Layers: layers, Archives: files, Builds: sandboxes.Catalog(), Images: images, Guests: guests, Driver: m.driver,
		VMM: m.driver.Maker().String(), BootHash: guestImage.Hash, EnvdVersion: guestImage.EnvdVersion,
		Admit: sandboxes.Admit, MaxBuilds: most, ReserveBytes: uint64(config.Limits.DiskReserveMiB) << 20, Log: config.Log,
	}
	builder, err := build.Open(ctx, building)
	if err != nil {
		return nil, err
	}
	parts.OnStop("cancel builds", func(context.Context) error { return builder.Close() })
	sizes, err := openSizes(config, m, building, diskBytes, sandboxes, parts)
	if err != nil {
		return nil, err
	}
	return &builds{builder: builder, sizes: sizes, uploads: files, stopping: ctx.Done()}, nil
}

// openSizes has builds created with other sizes than their own, which boot as builds do.
// When the agent stops, those that are being made are given up.
func openSizes(config Config, m *machine, building build.Config, diskBytes uint64, sandboxes *sandbox.Manager, parts *boot.Sequence) (*size.Store, error) {
	const mebibyte = 1 << 20
	maxBytes := cmp.Or(config.Builds.SizesMiB*mebibyte, int64(diskBytes/sizesDivisor))
	sizes, err := size.Open(size.Config{
		Directory: m.path("sizes"), Builds: sandboxes.Catalog(), Maker: build.Sizer{Config: building}, VMM: m.driver.Maker(),
		MostVCPUs: vmm.CapabilitiesOf(m.driver).MostVCPUs, AtOnce: building.MaxBuilds,
		MaxBytes: maxBytes, ReserveBytes: building.ReserveBytes, Unused: time.Duration(config.Builds.SizesUnusedHours) * time.Hour, Log: config.Log,
	})
	if err != nil {
		return nil, err
	}
	parts.OnStop("give up sizes of templates", func(context.Context) error { return sizes.Close() })
	sandboxes.OfferSizes(sizes)
	return sizes, nil
}

package hostagent

import (
	"cmp"
	"context"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/network"
)

// Images is from where templates' images may come, and what is kept of them.
type Images struct {
	// InsecureRegistries and PrivateRegistries are hosts as in names of images, with the
	// port where that is not the usual one. Without them, what a user names as a registry
	// must have TLS and a public address.
	InsecureRegistries []string `env:"WRENN_INSECURE_REGISTRIES" flag:"insecure-registries" form:"hosts such as registry.example.com:5000, separated by commas" help:"registries of images, separated by commas, that are spoken to without TLS; they may be at private addresses"`
	PrivateRegistries  []string `env:"WRENN_PRIVATE_REGISTRIES" flag:"private-registries" form:"hosts such as registry.example.com:5000, separated by commas" help:"registries of images, separated by commas, that may be at private addresses"`
	// RegistryCAFile has authorities that are trusted besides the system's.
	RegistryCAFile string `env:"WRENN_REGISTRY_CA_FILE" flag:"registry-ca-file" help:"file of certificates, in PEM, of authorities that registries of images may have besides the system's"`
	// CacheMiB is for layers and for disks made of them, half of it each.
	CacheMiB int `env:"WRENN_IMAGE_CACHE_MIB" flag:"image-cache-mib" default:"20480" min:"0" help:"disk in MiB for images of templates, of which those used last are kept"`
}

func (i Images) registries() image.Registries {
	return image.Registries{Insecure: i.InsecureRegistries, Private: i.PrivateRegistries, CAFile: i.RegistryCAFile}
}

// openImages opens the store of images. Its disks are where sandboxes' are, to be cloned.
func openImages(ctx context.Context, config Config, storage string, parts *boot.Sequence) (*image.Store, error) {
	const mebibyte = 1 << 20
	half := int64(config.Images.CacheMiB) * mebibyte / 2
	return boot.Make(ctx, parts, "open images", func(context.Context) (*image.Store, error) {
		return image.Open(image.StoreConfig{
			BlobDir: filepath.Join(config.DataDir, "layers"), DiskDir: filepath.Join(storage, "images"),
			BlobBytes: half, DiskBytes: half, Registries: config.Images.registries(),
			User: cmp.Or(config.FirstUser, network.DefaultFirstUser) + usersOfVMs, Log: config.Log,
		})
	})
}

// usersOfVMs is how many user IDs are for VMs, from Config.FirstUser on. The next one is
// for processes that read images.
const usersOfVMs = 1 << 15

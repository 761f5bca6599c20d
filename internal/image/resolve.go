package image

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Bounds of an image's description.
const (
	maxLayers      = 500
	maxConfigBytes = 8 << 20
	maxReference   = 1024
	// maxIndexes is how many indexes may lead to one another.
	maxIndexes = 3
)

// session is one conversation with a registry.
type session struct {
	reference name.Reference
	puller    *remote.Puller
	// credentials says whether there are any.
	credentials bool
}

// open logs in.
func (s *Store) open(ctx context.Context, source Source) (*session, error) {
	reference, err := s.parse(source.Reference)
	if err != nil {
		return nil, err
	}
	var login authn.Authenticator = authn.Anonymous
	if source.Credentials != nil {
		if login, err = source.Credentials.authenticator(ctx, s.transport); err != nil {
			return nil, err
		}
	}
	puller, err := remote.NewPuller(remote.WithTransport(s.transport), remote.WithAuth(login), remote.WithUserAgent("wrenn"),
		remote.WithRetryBackoff(remote.Backoff{Duration: 300 * time.Millisecond, Factor: 3, Jitter: 0.1, Steps: 3}))
	if err != nil {
		return nil, fmt.Errorf("make a puller: %w", err)
	}
	return &session{reference: reference, puller: puller, credentials: source.Credentials != nil}, nil
}

func (s *Store) parse(reference string) (name.Reference, error) {
	wrong := invalid("This is not the name of an image: %.200q. Names are such as debian:12, or registry.example.com/team/app:1.0.", reference)
	if len(reference) > maxReference {
		return nil, wrong
	}
	parsed, err := name.ParseReference(strings.TrimSpace(reference))
	if err != nil {
		wrong.Err = err
		return nil, wrong
	}
	if slices.Contains(s.transport.insecure, parsed.Context().RegistryStr()) {
		return name.ParseReference(strings.TrimSpace(reference), name.Insecure)
	}
	return parsed, nil
}

func (c *session) host() string { return c.reference.Context().RegistryStr() }

func (c *session) explain(ctx context.Context, err error) error {
	return explainRegistry(ctx, err, c.reference.Name(), c.host(), c.credentials)
}

// Resolve asks a registry for an image. It pulls no layers. It returns an *Error where the
// image's owner can do something.
func (s *Store) Resolve(ctx context.Context, source Source, platform Platform) (*Image, error) {
	session, err := s.open(ctx, source)
	if err != nil {
		return nil, err
	}
	described, err := session.find(ctx, session.reference, platform, maxIndexes)
	if err != nil {
		return nil, err
	}
	image := &Image{
		Name: session.reference.Name(), Digest: described.Digest.String(), Platform: platform,
		source: source, repository: session.reference.Context().Name(),
	}
	return image, session.describe(ctx, described, image)
}

// find returns the manifest for a platform.
func (c *session) find(ctx context.Context, reference name.Reference, platform Platform, indexes int) (*remote.Descriptor, error) {
	found, err := c.puller.Get(ctx, reference)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	switch {
	case found.MediaType.IsImage():
		return found, nil
	case !found.MediaType.IsIndex():
		return nil, invalid("%s is not an image of a kind that can be used (%.100q). Push it again with a current Docker or Podman.", c.reference.Name(), found.MediaType)
	case indexes == 0:
		return nil, invalid("%s is an index of indexes of indexes. Push it again as one index.", c.reference.Name())
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, invalid("The index of %s cannot be read. Push it again.", c.reference.Name())
	}
	chosen, err := c.choose(manifest.Manifests, platform)
	if err != nil {
		return nil, err
	}
	return c.find(ctx, c.reference.Context().Digest(chosen.String()), platform, indexes-1)
}

// choose returns the digest of the image for a platform.
func (c *session) choose(manifests []v1.Descriptor, platform Platform) (v1.Hash, error) {
	var has []string
	for _, manifest := range manifests {
		if manifest.Platform == nil || manifest.Platform.OS == "unknown" {
			continue // attestations and signatures
		}
		if manifest.Platform.OS == platform.OS && manifest.Platform.Architecture == platform.Architecture {
			return manifest.Digest, nil
		}
		has = append(has, fmt.Sprintf("%.50s", manifest.Platform.String()))
	}
	return v1.Hash{}, c.wrongPlatform(platform, has)
}

func (c *session) wrongPlatform(platform Platform, has []string) error {
	const most = 20
	slices.Sort(has)
	listed := strings.Join(slices.Compact(has)[:min(most, len(has))], ", ")
	if listed == "" {
		listed = "none that is named"
	}
	return &Error{
		Cause:   WrongPlatform,
		Message: fmt.Sprintf("The image %s is not for %s. It is for: %s. Push it for %s as well.", c.reference.Name(), platform, listed, platform),
	}
}

// describe reads manifest and configuration.
func (c *session) describe(ctx context.Context, described *remote.Descriptor, image *Image) error {
	remoteImage, err := described.Image()
	if err != nil {
		return c.explain(ctx, err)
	}
	manifest, err := remoteImage.Manifest()
	if err != nil {
		return invalid("The manifest of %s cannot be read. Push the image again.", image.Name)
	}
	if !manifest.Config.MediaType.IsConfig() {
		return invalid("%s is not a container image but something else in a registry (%.100q).", image.Name, manifest.Config.MediaType)
	}
	if manifest.Config.Size > maxConfigBytes || manifest.Config.Size < 0 {
		return invalid("The configuration of %s is larger than %d bytes, which is the limit.", image.Name, maxConfigBytes)
	}
	config, err := remoteImage.ConfigFile()
	if err != nil {
		return c.explain(ctx, err)
	}
	if has := (v1.Platform{OS: config.OS, Architecture: config.Architecture}); has.OS != "" &&
		(has.OS != image.Platform.OS || has.Architecture != image.Platform.Architecture) {
		return c.wrongPlatform(image.Platform, []string{fmt.Sprintf("%.50s", has.String())})
	}
	image.Config = convertConfig(config.Config)
	return listLayers(manifest, config, image)
}

// listLayers checks that the layers are those of the configuration.
func listLayers(manifest *v1.Manifest, config *v1.ConfigFile, image *Image) error {
	if len(manifest.Layers) != len(config.RootFS.DiffIDs) {
		return invalid("The image %s has %d layers, but its configuration has %d. Push it again.", image.Name, len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	if len(manifest.Layers) > maxLayers {
		return invalid("The image %s has %d layers; the limit is %d. Squash some of them.", image.Name, len(manifest.Layers), maxLayers)
	}
	for i, layer := range manifest.Layers {
		if !isLayer(layer.MediaType) || layer.Size < 0 {
			return invalid("The image %s has a layer of a kind that cannot be used (%.100q).", image.Name, layer.MediaType)
		}
		if layer.Digest.Algorithm != "sha256" || config.RootFS.DiffIDs[i].Algorithm != "sha256" {
			return invalid("The image %s has a layer whose digest is not a SHA-256.", image.Name)
		}
		image.Layers = append(image.Layers, Layer{Digest: layer.Digest.String(), DiffID: config.RootFS.DiffIDs[i].Hex, Size: layer.Size})
	}
	return nil
}

// isLayer knows layers that are in the registry itself and not encrypted. How they are
// packed is seen in their first bytes.
func isLayer(kind types.MediaType) bool {
	switch kind {
	case types.OCILayer, types.OCILayerZStd, types.OCIUncompressedLayer, types.DockerLayer, types.DockerUncompressedLayer,
		"application/vnd.docker.image.rootfs.diff.tar.zstd":
		return true
	default:
		return false
	}
}

func convertConfig(config v1.Config) Config {
	converted := Config{
		User: config.User, WorkingDir: config.WorkingDir, Env: config.Env, Entrypoint: config.Entrypoint, Cmd: config.Cmd,
		Shell: config.Shell, Labels: config.Labels, StopSignal: config.StopSignal,
		ExposedPorts: slices.Sorted(maps.Keys(config.ExposedPorts)),
	}
	if check := config.Healthcheck; check != nil {
		converted.Healthcheck = &Healthcheck{
			Test: check.Test, Interval: check.Interval, Timeout: check.Timeout, StartPeriod: check.StartPeriod,
			Retries: check.Retries,
		}
	}
	return converted
}

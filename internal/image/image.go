// Package image makes disks of container images in registries.
//
//	image, err := store.Resolve(ctx, source, image.DefaultPlatform) // asks the registry
//	err = store.WriteDisk(ctx, image, target, options)              // pulls what is missing
//
// A registry, and what it sends, is hostile: it is reached only at public addresses unless
// the operator has named it, digests are verified, and layers are read by a process
// without rights (package rootfs). Errors that the image's owner can mend are *Error.
package image

import (
	"time"
)

// Source is an image in a registry, with the caller's credentials.
type Source struct {
	// Reference is as for docker pull: host/name:tag, or with @sha256: and a digest.
	Reference string
	// Credentials are nil for an anonymous pull.
	Credentials Credentials
}

// Platform is what an image is for.
type Platform struct {
	// OS and Architecture are as Go has them: linux, amd64.
	OS, Architecture string
}

// DefaultPlatform is that of the guests.
var DefaultPlatform = Platform{OS: "linux", Architecture: "amd64"}

func (p Platform) String() string { return p.OS + "/" + p.Architecture }

// Image is an image as the registry describes it.
type Image struct {
	// Name is the whole name, with the registry's host and the tag or digest asked for.
	Name string
	// Digest is the SHA-256 of the manifest for the platform: "sha256:" and hex digits. The
	// same digest is the same image, wherever it comes from.
	Digest   string
	Platform Platform
	Config   Config
	// Layers are those of the file system, the lowest first.
	Layers []Layer

	source     Source
	repository string
}

// Layer is a layer of an image.
type Layer struct {
	// Digest is that of the layer as it is in the registry, DiffID that of it unpacked.
	Digest, DiffID string
	// Size is in bytes, packed.
	Size int64
}

// Size is how many bytes all layers have, packed.
func (i *Image) Size() int64 {
	var total int64
	for _, layer := range i.Layers {
		total += layer.Size
	}
	return total
}

// Config is what an image says of how to run it. All of it is hostile text.
type Config struct {
	// User is "name", "name:group", numbers, or empty for root.
	User string
	// WorkingDir is a path in the image; may be empty.
	WorkingDir string
	// Env are NAME=value.
	Env        []string
	Entrypoint []string
	Cmd        []string
	// Shell runs commands that are one text; empty for the usual one.
	Shell []string
	// ExposedPorts are such as 80/tcp, sorted.
	ExposedPorts []string
	Labels       map[string]string
	StopSignal   string
	// Healthcheck is nil where the image has none.
	Healthcheck *Healthcheck
}

// Healthcheck is a command that says whether what the image runs works.
type Healthcheck struct {
	// Test is CMD and a command, CMD-SHELL and a line for the shell, or NONE.
	Test []string
	// Zero stands for the default of the program that runs it.
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

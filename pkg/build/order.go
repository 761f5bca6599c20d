package build

import (
	"regexp"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	maxCommandBytes   = 64 << 10
	maxReferenceBytes = 512
	// e2bBaseImage is the image that E2B's clients begin with where their user names
	// none. It stands for the installation's own base template.
	e2bBaseImage = "e2bdev/base"
	baseTemplate = "base"
)

// referencePattern is the form of an image's reference; the host reads it exactly.
var referencePattern = regexp.MustCompile(`^[A-Za-z0-9\[][A-Za-z0-9._:/@+\[\]-]*$`)

// IsImageReference reports whether a text may be an image's reference.
func IsImageReference(text string) bool {
	return len(text) <= maxReferenceBytes && referencePattern.MatchString(text)
}

// Order is what E2B's clients want a requested build to do.
type Order struct {
	// FromImage or FromTemplate is what the build begins with.
	FromImage, FromTemplate string
	// Registry opens the registry of FromImage; nil for none.
	Registry                   *Credentials
	Force                      bool
	Steps                      []Instruction
	StartCommand, ReadyCommand string
	// UseImageCommand starts the image's entrypoint and command where StartCommand is empty,
	// as the image's user.
	UseImageCommand bool
}

// Definition checks and converts an order. It returns fault.Invalid for one that no host
// would take.
func (w Order) Definition() (Definition, Confidential, error) {
	var none Definition
	var confidential Confidential
	steps, err := convertSteps(w.Steps)
	if err != nil {
		return none, confidential, err
	}
	if len(w.StartCommand) > maxCommandBytes || len(w.ReadyCommand) > maxCommandBytes {
		return none, confidential, fault.New(fault.Invalid, "startCmd and readyCmd may have at most %d bytes", maxCommandBytes)
	}
	definition := Definition{
		StartCommand: w.StartCommand, ReadyCommand: w.ReadyCommand, Force: w.Force, Stages: []Stage{{Steps: steps}},
		UseImageCommand: w.UseImageCommand && w.StartCommand == "", ImageDefaults: w.UseImageCommand,
	}
	if w.StartCommand != "" && w.ReadyCommand == "" {
		definition.ReadyCommand = defaultReadyCommand
	}
	base := &definition.Stages[0].Base
	switch image := w.FromImage; {
	case (image == "") == (w.FromTemplate == ""):
		return none, confidential, fault.New(fault.Invalid, "exactly one of fromImage and fromTemplate must be set")
	case w.FromTemplate != "" && w.Registry != nil:
		return none, confidential, fault.New(fault.Invalid, "fromImageRegistry is only possible with fromImage")
	case w.FromTemplate != "":
		base.Template = w.FromTemplate
	case w.Registry == nil && isE2BBase(image):
		base.Template = baseTemplate
	default:
		if !IsImageReference(image) {
			return none, confidential, fault.New(fault.Invalid, "fromImage must be an image's reference, such as debian:12 or registry.example.com/team/image:tag")
		}
		base.Image = image
		if w.Registry != nil {
			confidential.Registries = map[string]Credentials{image: *w.Registry}
		}
	}
	return definition, confidential, nil
}

// BaseOf is the base that an image's reference stands for: the installation's own base
// template for E2B's base image, which its clients begin with where their user names none.
func BaseOf(image string) Base {
	if isE2BBase(image) {
		return Base{Template: baseTemplate}
	}
	return Base{Image: image}
}

func isE2BBase(image string) bool {
	image = strings.TrimSuffix(image, ":latest")
	return image == e2bBaseImage || image == "docker.io/"+e2bBaseImage
}

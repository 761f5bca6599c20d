// Package dockerfile reads Dockerfiles into the stages and steps of a template's build.
//
// It runs nothing and reads no other file. What a template cannot have, such as RUN
// with a device, is an error that names the line.
package dockerfile

import (
	"errors"
	"fmt"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
)

// MaxBytes is how large a Dockerfile may be. The number of its steps is limited by
// build.MaxSteps.
const MaxBytes = 1 << 20

// Options choose what of a Dockerfile is built.
type Options struct {
	// Target is the name or number of the stage that becomes the template; empty for the
	// last one.
	Target string
	// Arguments are the values of build arguments, by name.
	Arguments map[string]string
}

// Plan is what is to be built.
type Plan struct {
	// Stages are those that the last one needs, in order. The last one becomes the
	// template. In the texts of steps ${NAME} stands for a variable that only the base
	// image can have set, and \$ for a dollar sign; commands are expanded by their shell.
	Stages []build.Stage
	// ReadyCommand is the HEALTHCHECK of the last stage as a line for a shell; empty for
	// none.
	ReadyCommand string
	// Uploads are the files of the build's directory that steps copy. Their hashes are
	// not in Stages; see SetFiles.
	Uploads []Upload
	// Warnings name instructions that have no effect.
	Warnings []Warning
}

// Upload is what one step copies from the build's directory.
type Upload struct {
	// Step is the step's name, and Line where it begins.
	Step string
	Line int
	// Sources are paths or patterns relative to the directory's root, and Excludes patterns
	// of what is left out.
	Sources, Excludes []string
}

// Warning is about one line; 0 is the whole.
type Warning struct {
	Line int
	Text string
}

// SetFiles puts the hashes of uploads into the steps, by their names. Each upload needs
// one.
func (p *Plan) SetFiles(hashes map[string]string) error {
	var faults []error
	for _, upload := range p.Uploads {
		if !build.IsFilesHash(hashes[upload.Step]) {
			faults = append(faults, at(upload.Line, "step %s copies files, whose hash of 64 hex digits is missing", upload.Step))
		}
	}
	if len(faults) > 0 {
		return join(faults)
	}
	for _, stage := range p.Stages {
		for i := range stage.Steps {
			files := stage.Steps[i].Copy
			if files != nil && files.FromStage == nil && files.FromImage == "" && files.Content == nil {
				files.FilesHash = hashes[stage.Steps[i].Name]
			}
		}
	}
	return nil
}

// CheckSecrets returns an error for each step that requires a secret which is not given.
func (p *Plan) CheckSecrets(given map[string][]byte) error {
	var faults []error
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			if step.Run == nil {
				continue
			}
			for _, secret := range step.Run.Secrets {
				if _, isGiven := given[secret.ID]; secret.Required && !isGiven {
					faults = append(faults, at(step.Line, "the secret %s is required and was not given", secret.ID))
				}
			}
		}
	}
	return join(faults)
}

// Images returns the references of the images that the build needs.
func (p *Plan) Images() []string {
	var images []string
	for _, stage := range p.Stages {
		if stage.Base.Image != "" {
			images = append(images, stage.Base.Image)
		}
		for _, step := range stage.Steps {
			if step.Copy != nil && step.Copy.FromImage != "" {
				images = append(images, step.Copy.FromImage)
			}
		}
	}
	return images
}

// LineError is a fault of one line.
type LineError struct {
	// Line is from 1 on; 0 for a fault of the whole.
	Line    int
	Message string
}

// Error returns the line and the message.
func (e *LineError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

func at(line int, format string, arguments ...any) *LineError {
	return &LineError{Line: line, Message: fmt.Sprintf(format, arguments...)}
}

// maxFaults is how many faults one error names.
const maxFaults = 10

// join makes one error of the faults, which is nil for none.
func join(faults []error) error {
	if len(faults) > maxFaults {
		faults = append(faults[:maxFaults:maxFaults], fmt.Errorf("and %d more", len(faults)-maxFaults))
	}
	return errors.Join(faults...)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

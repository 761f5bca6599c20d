// Package plan is what a build is to do: stages and their instructions, the context in
// which an instruction runs, and the keys under which results are cached.
package plan

import (
	"errors"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// ErrInvalid is returned for a request that no build can fulfil.
var ErrInvalid = errors.New("invalid build")

// Request is one build.
type Request struct {
	// BuildID is a UUID; the finished build has it as its ID.
	BuildID    string
	TeamID     string
	TemplateID string
	// Stages are in order; the last is the template.
	Stages    []Stage
	VCPUCount int
	MemoryMiB int
	DiskMiB   int
	// StartCommand runs in the finished snapshot; ReadyCommand succeeds before it is taken.
	StartCommand    string
	ReadyCommand    string
	UseImageCommand bool
	// ImageDefaults: steps from an image begin as root in / where the image says nothing,
	// and not as the user "user".
	ImageDefaults bool
	// Init is empty or "systemd".
	Init string
	// Force ignores cached layers.
	Force   bool
	Network egress.Spec
	// Secrets are the values that steps mount, by ID. They are never stored.
	Secrets map[string][]byte
}

// Stage is a base and what is done to it.
type Stage struct {
	Name  string
	Base  Base
	Steps []Step
}

// Base is what a stage begins with: exactly one field is set.
type Base struct {
	Image   *Image
	BuildID string
	Stage   *int
	Scratch bool
}

// Image is an image in a registry, and the credentials for it.
type Image struct {
	Reference   string
	Credentials image.Credentials `json:"-"`
}

// Source is what is pulled.
func (i Image) Source() image.Source {
	return image.Source{Reference: i.Reference, Credentials: i.Credentials}
}

// Step is one instruction of the client's.
type Step struct {
	// Name is what log entries and failures call it.
	Name string
	// Text is for people and no part of the cache's key.
	Text string
	// Line is its line in a Dockerfile; 0 for none.
	Line int
	// Force runs it, and all later ones, even if its layer is cached.
	Force bool
	Do    Instruction
}

// Bounds of a request.
const (
	maxStages    = 100
	maxSteps     = 1000
	maxTextBytes = 1 << 20
	minMemoryMiB = 128
	minDiskMiB   = 64
	// systemd is the other value of Request.Init.
	systemd = "systemd"
)

// Check returns an ErrInvalid that says what is wrong.
func (r Request) Check() error {
	switch {
	case r.TeamID == "":
		return invalid("the team is missing")
	case len(r.Stages) == 0 || len(r.Stages) > maxStages:
		return invalid("%d stages: between 1 and %d are possible", len(r.Stages), maxStages)
	case r.VCPUCount < 1 || r.MemoryMiB < minMemoryMiB || r.DiskMiB < minDiskMiB:
		return invalid("%d CPUs, %d MiB of memory and %d MiB of disk: at least 1, %d and %d are needed",
			r.VCPUCount, r.MemoryMiB, r.DiskMiB, minMemoryMiB, minDiskMiB)
	case r.Init != "" && r.Init != systemd:
		return invalid("init %q: it can be empty or %q", r.Init, systemd)
	case len(r.StartCommand) > maxTextBytes || len(r.ReadyCommand) > maxTextBytes:
		return invalid("a start or ready command is longer than %d bytes", maxTextBytes)
	}
	if _, err := egress.Parse(r.Network); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	steps := 0
	for i, stage := range r.Stages {
		if err := stage.Base.check(i); err != nil {
			return err
		}
		steps += len(stage.Steps)
		for _, step := range stage.Steps {
			if err := step.check(i, r); err != nil {
				return err
			}
		}
	}
	if steps > maxSteps {
		return invalid("%d steps: %d are possible", steps, maxSteps)
	}
	return nil
}

func invalid(format string, arguments ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, arguments...))
}

func (b Base) check(index int) error {
	switch {
	case b.Stage != nil && (*b.Stage < 0 || *b.Stage >= index):
		return invalid("stage %d begins with stage %d, which is not an earlier one", index, *b.Stage)
	case b.Image == nil && b.BuildID == "" && b.Stage == nil && !b.Scratch:
		return invalid("stage %d has no base", index)
	case b.Image != nil && b.Image.Reference == "":
		return invalid("the image of stage %d has no reference", index)
	}
	return nil
}

func (s Step) check(stage int, r Request) error {
	if s.Name == "" || s.Do == nil {
		return invalid("a step of stage %d has no name or no instruction", stage)
	}
	if err := s.Do.check(stage, r); err != nil {
		return fmt.Errorf("step %s: %w", s.Name, err)
	}
	return nil
}

// Needed reports for each stage whether the last one needs it.
func (r Request) Needed() []bool {
	needed := make([]bool, len(r.Stages))
	needed[len(needed)-1] = true
	for i := len(r.Stages) - 1; i >= 0; i-- {
		if !needed[i] {
			continue
		}
		if from := r.Stages[i].Base.Stage; from != nil {
			needed[*from] = true
		}
		for _, step := range r.Stages[i].Steps {
			if files, ok := step.Do.(Copy); ok && files.FromStage != nil {
				needed[*files.FromStage] = true
			}
		}
	}
	return needed
}

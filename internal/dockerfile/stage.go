package dockerfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
)

// planner reads the stages of one Dockerfile.
type planner struct {
	file     *file
	options  Options
	global   *scope // what ARGs before the first FROM set
	faults   []error
	warnings []Warning
	stages   []*stage
}

// stage is a stage that is read, with the indices of the file's stages.
type stage struct {
	build.Stage
	scope   *scope
	ready   string
	needs   []int
	uploads map[int]Upload // by the index of the step
}

func (f *file) plan(options Options) (*Plan, error) {
	p := &planner{file: f, options: options, global: newScope(f.escape)}
	p.global.closed = true
	p.readGlobalArguments()
	target, err := p.target()
	if err != nil {
		return nil, err
	}
	for index := range target + 1 {
		p.readStage(index)
	}
	p.warnOfUnusedArguments()
	if err := join(p.faults); err != nil {
		return nil, err
	}
	return p.assemble(target)
}

func (p *planner) fail(line int, format string, arguments ...any) {
	p.faults = append(p.faults, at(line, format, arguments...))
}

func (p *planner) warn(line int, format string, arguments ...any) {
	p.warnings = append(p.warnings, Warning{Line: line, Text: fmt.Sprintf(format, arguments...)})
}

// readGlobalArguments reads the ARGs before the first FROM: only FROM sees them, and ARGs
// of the same name without a default.
func (p *planner) readGlobalArguments() {
	maps.Copy(p.global.arguments, platformArguments)
	for _, command := range p.file.arguments {
		for _, argument := range command.Args {
			given, isGiven := p.options.Arguments[argument.Key]
			switch {
			case isGiven:
				p.global.arguments[argument.Key] = given
			case argument.Value != nil:
				value, err := p.global.resolve(*argument.Value)
				if err != nil {
					p.fail(lineOf(command.Location()), "%s", err)
				}
				p.global.arguments[argument.Key] = value
			}
		}
	}
}

// target is the index of the stage that becomes the template.
func (p *planner) target() (int, error) {
	if p.options.Target == "" {
		return len(p.file.stages) - 1, nil
	}
	index, found := p.find(p.options.Target, len(p.file.stages))
	if !found {
		return 0, at(0, "the target %.64q is no stage of the Dockerfile; it has %s", p.options.Target, p.stageNames())
	}
	return index, nil
}

func (p *planner) stageNames() string {
	names := make([]string, 0, len(p.file.stages))
	for index, one := range p.file.stages {
		names = append(names, strings.ToLower(one.Name))
		if one.Name == "" {
			names[index] = strconv.Itoa(index)
		}
	}
	return strings.Join(names, ", ")
}

// find finds a stage by name or number among the first ones.
func (p *planner) find(name string, before int) (int, bool) {
	for index := before - 1; index >= 0; index-- {
		if candidate := p.file.stages[index].Name; candidate != "" && strings.EqualFold(candidate, name) {
			return index, true
		}
	}
	index, err := strconv.Atoi(name)
	return index, err == nil && index >= 0 && index < before
}

// readStage reads a stage whose predecessors are read.
func (p *planner) readStage(index int) {
	source := p.file.stages[index]
	line := lineOf(source.Location)
	read := &stage{Stage: build.Stage{Name: source.Name}, scope: newScope(p.file.escape), uploads: map[int]Upload{}}
	p.stages = append(p.stages, read)
	if platform, err := p.global.resolve(source.Platform); err != nil {
		p.fail(line, "FROM: %s", faultOf(err))
	} else if !slices.Contains([]string{"", "linux", "linux/amd64", "linux/x86_64"}, platform) {
		p.fail(line, "the platform %s is not this installation's; templates run on linux/amd64", platform)
	}
	base, err := p.global.resolveBase(source.BaseName)
	if err != nil {
		p.fail(line, "FROM: %s", faultOf(err))
		return
	}
	if base == "" {
		p.fail(line, "FROM names no image: %s is empty", source.BaseName)
		return
	}
	if from, found := p.find(base, index); found {
		read.Base.Stage, read.needs = &from, []int{from}
		read.scope.environment = maps.Clone(p.stages[from].scope.environment)
		read.scope.closed, read.ready = p.stages[from].scope.closed, p.stages[from].ready
	} else if base == "scratch" {
		read.Base.Scratch, read.scope.closed = true, true
	} else if !build.IsImageReference(base) {
		p.fail(line, "FROM: %.128q is not an image's reference, such as debian:12", base)
	} else {
		read.Base = build.BaseOf(base)
		if read.Base.Template != "" {
			// Steps on a template begin as its user; those of a Dockerfile as root.
			read.Steps = append(read.Steps,
				build.Step{Line: line, Text: "USER root", User: &build.User{Name: "root", MustExist: true}},
				build.Step{Line: line, Text: "WORKDIR /", Workdir: "/"},
				build.Step{Line: line, Text: `SHELL ["/bin/sh", "-c"]`, Shell: []string{"/bin/sh", "-c"}})
		}
	}
	maps.Copy(read.scope.arguments, p.predefined())
	for _, command := range source.Commands {
		p.readCommand(read, index, command)
	}
}

// predefined are the arguments that need no ARG and were given.
func (p *planner) predefined() map[string]string {
	given := make(map[string]string)
	for _, name := range predefinedArguments {
		if value, set := p.options.Arguments[name]; set {
			given[name] = value
		}
	}
	return given
}

func (p *planner) warnOfUnusedArguments() {
	declared := slices.Concat(predefinedArguments, slices.Collect(maps.Keys(platformArguments)))
	for _, command := range p.file.arguments {
		for _, argument := range command.Args {
			declared = append(declared, argument.Key)
		}
	}
	for _, one := range p.file.stages {
		for _, command := range one.Commands {
			if command, isArgument := command.(*instructions.ArgCommand); isArgument {
				for _, argument := range command.Args {
					declared = append(declared, argument.Key)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.options.Arguments)) {
		if !slices.Contains(declared, name) {
			p.warn(0, "the build argument %.64s is not declared by an ARG and has no effect", name)
		}
	}
}

// assemble keeps the stages that the target needs, and numbers their steps.
func (p *planner) assemble(target int) (*Plan, error) {
	needed := p.needed(target)
	places := make(map[int]int, len(needed))
	plan := &Plan{Warnings: p.warnings, ReadyCommand: p.stages[target].ready}
	number := 0
	for _, index := range needed {
		places[index] = len(plan.Stages)
		kept := p.stages[index]
		if kept.Base.Stage != nil {
			place := places[*kept.Base.Stage]
			kept.Base.Stage = &place
		}
		for i := range kept.Steps {
			number++
			kept.Steps[i].Name = strconv.Itoa(number)
			if files := kept.Steps[i].Copy; files != nil && files.FromStage != nil {
				place := places[*files.FromStage]
				files.FromStage = &place
			}
			if upload, copies := kept.uploads[i]; copies {
				upload.Step = kept.Steps[i].Name
				plan.Uploads = append(plan.Uploads, upload)
			}
		}
		plan.Stages = append(plan.Stages, kept.Stage)
	}
	if number > build.MaxSteps {
		return nil, at(0, "the Dockerfile has %d steps; a build has at most %d", number, build.MaxSteps)
	}
	return plan, nil
}

// needed are the stages that a stage is made of, itself included, in order.
func (p *planner) needed(target int) []int {
	seen := map[int]bool{}
	var visit func(index int)
	visit = func(index int) {
		if seen[index] {
			return
		}
		seen[index] = true
		for _, other := range p.stages[index].needs {
			visit(other)
		}
	}
	visit(target)
	return slices.Sorted(maps.Keys(seen))
}

// faultOf is the message of an error of the lexer, without its wrapping.
func faultOf(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

package dockerfile

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
)

// readCommand adds the steps of an instruction to a stage.
func (p *planner) readCommand(to *stage, index int, command instructions.Command) {
	line := lineOf(command.Location())
	add := func(step build.Step) {
		step.Line, step.Text = line, oneLine(fmt.Sprint(command))
		to.Steps = append(to.Steps, step)
	}
	var err error
	switch command := command.(type) {
	case *instructions.RunCommand:
		err = p.readRun(to.scope, command, add)
	case *instructions.CopyCommand:
		err = p.readCopy(to, index, command, add)
	case *instructions.AddCommand:
		err = p.readAdd(to, command, add)
	case *instructions.EnvCommand:
		err = readEnv(to.scope, command, add)
	case *instructions.ArgCommand:
		err = p.readArgument(to.scope, command, add)
	case *instructions.WorkdirCommand:
		err = addText(to.scope, command.Path, func(text string) { add(build.Step{Workdir: text}) })
	case *instructions.UserCommand:
		err = addText(to.scope, command.User, func(text string) { add(build.Step{User: &build.User{Name: text, MustExist: true}}) })
	case *instructions.ShellCommand:
		add(build.Step{Shell: command.Shell})
	case *instructions.EntrypointCommand:
		line := commandLine(to, command.ShellDependantCmdLine)
		add(build.Step{ImageConfig: &build.ImageConfig{Entrypoint: &line}})
	case *instructions.CmdCommand:
		line := commandLine(to, command.ShellDependantCmdLine)
		add(build.Step{ImageConfig: &build.ImageConfig{Command: &line}})
	case *instructions.HealthCheckCommand:
		to.ready = readyCommand(command)
	case *instructions.VolumeCommand:
		p.warn(line, "VOLUME has no effect: a sandbox has one disk; mount a volume when you create it")
	case *instructions.StopSignalCommand:
		p.warn(line, "STOPSIGNAL has no effect: a sandbox is paused or ended as a whole")
	case *instructions.OnbuildCommand:
		p.warn(line, "ONBUILD has no effect: templates that are made from this one do not run it")
	case *instructions.LabelCommand, *instructions.MaintainerCommand, *instructions.ExposeCommand:
		// Every port of a sandbox can be reached, and nothing reads labels.
	default:
		p.fail(line, "%s is not supported", strings.ToUpper(command.Name()))
	}
	if err != nil {
		p.fail(line, "%s: %s", strings.ToUpper(command.Name()), faultOf(err))
	}
}

func addText(scope *scope, word string, add func(text string)) error {
	text, err := scope.text(word)
	if err == nil {
		add(text)
	}
	return err
}

func readEnv(scope *scope, command *instructions.EnvCommand, add func(build.Step)) error {
	// All values see the variables as they are before the instruction.
	before := scope.copy()
	var set []build.Variable
	for _, pair := range command.Env {
		if !build.IsVariableName(pair.Key) {
			return fmt.Errorf("%.64q is no variable's name", pair.Key)
		}
		value, err := before.expand(pair.Value)
		if err != nil {
			return err
		}
		scope.environment[pair.Key] = value
		set = append(set, build.Variable{Name: pair.Key, Value: written(value)})
	}
	add(build.Step{Env: set})
	return nil
}

func (p *planner) readArgument(scope *scope, command *instructions.ArgCommand, add func(build.Step)) error {
	var set []build.Variable
	for _, argument := range command.Args {
		if !build.IsVariableName(argument.Key) {
			return fmt.Errorf("%.64q is no variable's name", argument.Key)
		}
		value, known := p.options.Arguments[argument.Key]
		if !known && argument.Value != nil {
			expanded, err := scope.expand(*argument.Value)
			if err != nil {
				return err
			}
			value, known = expanded, true
		}
		if !known {
			value, known = p.global.arguments[argument.Key]
		}
		if !known {
			continue
		}
		scope.arguments[argument.Key] = value
		set = append(set, build.Variable{Name: argument.Key, Value: written(value)})
	}
	if len(set) > 0 {
		add(build.Step{Arg: set})
	}
	return nil
}

func (p *planner) readRun(scope *scope, command *instructions.RunCommand, add func(build.Step)) error {
	if network := instructions.GetNetwork(command); network != instructions.NetworkDefault {
		return fmt.Errorf("--network=%s is not supported: a step has the network of the build", network)
	}
	if security := instructions.GetSecurity(command); security != instructions.SecuritySandbox {
		return fmt.Errorf("--security=%s is not needed: a step runs in a machine of its own", security)
	}
	if slices.Contains(command.FlagsUsed, "device") {
		return fmt.Errorf("--device is not supported")
	}
	if err := command.Expand(scope.resolve); err != nil {
		return err
	}
	run := &build.Run{}
	for _, mount := range instructions.GetMounts(command) {
		secret, err := p.readMount(lineOf(command.Location()), mount)
		if err != nil {
			return err
		}
		if secret != nil {
			run.Secrets = append(run.Secrets, *secret)
		}
	}
	if command.PrependShell {
		run.Command = script(command.ShellDependantCmdLine)
	} else {
		run.Exec = command.CmdLine
	}
	add(build.Step{Run: run})
	return nil
}

// readMount returns the secret that a mount is, or nil for a mount that only makes a
// build quicker.
func (p *planner) readMount(line int, mount *instructions.Mount) (*build.SecretMount, error) {
	switch mount.Type {
	case instructions.MountTypeSecret:
		secret := &build.SecretMount{ID: mount.CacheID, Path: mount.Target, Required: mount.Required}
		if mount.Env != nil {
			secret.Variable = *mount.Env
			if secret.Variable == "" {
				secret.Variable = secret.ID
			}
		}
		if secret.ID == "" {
			secret.ID = path.Base(mount.Target)
		}
		if secret.ID == "" || secret.ID == "." || secret.ID == "/" {
			return nil, fmt.Errorf("--mount=type=secret has no id")
		}
		return secret, nil
	case instructions.MountTypeCache:
		p.warn(line, "--mount=type=cache keeps nothing between builds: the step's whole result is cached instead")
		return nil, nil
	case instructions.MountTypeTmpfs:
		p.warn(line, "--mount=type=tmpfs has no effect: what the step writes to %s becomes part of the template", mount.Target)
		return nil, nil
	default:
		return nil, fmt.Errorf("--mount=type=%s is not supported; COPY the files that the step needs", mount.Type)
	}
}

// script is what a shell runs: a line, which reads its here-documents itself, or one
// here-document that is a script of its own.
func script(line instructions.ShellDependantCmdLine) string {
	command := strings.Join(line.CmdLine, " ")
	if len(line.Files) == 1 && isHeredocAlone(command) {
		return line.Files[0].Data
	}
	for _, file := range line.Files {
		command += "\n" + file.Data + file.Name
	}
	return command
}

var heredocAlone = regexp.MustCompile(`^<<-?\s*['"]?[a-zA-Z_][a-zA-Z0-9_]*['"]?$`)

func isHeredocAlone(command string) bool { return heredocAlone.MatchString(strings.TrimSpace(command)) }

// commandLine is an entrypoint or a command, with the shell where it is a line.
func commandLine(of *stage, line instructions.ShellDependantCmdLine) []string {
	if !line.PrependShell {
		return append([]string{}, line.CmdLine...)
	}
	shell := []string{"/bin/sh", "-c"}
	for _, step := range of.Steps {
		if len(step.Shell) > 0 {
			shell = step.Shell
		}
	}
	return append(slices.Clone(shell), strings.Join(line.CmdLine, " "))
}

func readyCommand(command *instructions.HealthCheckCommand) string {
	test := command.Health.Test
	if len(test) < 2 {
		return "" // NONE
	}
	if test[0] == "CMD-SHELL" {
		return test[1]
	}
	words := make([]string, 0, len(test)-1)
	for _, word := range test[1:] {
		words = append(words, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}

package build

import (
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	// MaxSteps and maxStepBytes bound what one build has to do.
	MaxSteps     = 1000
	maxStepBytes = 256 << 10
	// defaultReadyCommand is that of a template with a start command alone, as E2B's
	// builder has it.
	defaultReadyCommand = "sleep 20"
)

var (
	filesHashPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	variablePattern  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	modePattern      = regexp.MustCompile(`^[0-7]{3,4}$`)
	ownerPattern     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?$`)
)

// IsFilesHash reports whether a text has the form of the hash that names an upload.
func IsFilesHash(text string) bool { return filesHashPattern.MatchString(text) }

// IsVariableName reports whether a text can be the name of a variable.
func IsVariableName(text string) bool { return variablePattern.MatchString(text) }

// IsMode reports whether a text is a mode of files: three or four octal digits.
func IsMode(text string) bool { return modePattern.MatchString(text) }

// Instruction is a step as E2B's clients send it.
type Instruction struct {
	// Type is RUN, COPY, ADD, ENV, ARG, WORKDIR or USER.
	Type      string
	Args      []string
	FilesHash string
	Force     bool
}

// steps converts what a client sends. Steps are named by their place, from "1" on, by
// which E2B's clients find the line of a step that has failed.
func convertSteps(wanted []Instruction) ([]Step, error) {
	if len(wanted) > MaxSteps {
		return nil, fault.New(fault.Invalid, "steps must be at most %d", MaxSteps)
	}
	steps := make([]Step, 0, len(wanted))
	for i, one := range wanted {
		size := 0
		for _, arg := range one.Args {
			size += len(arg)
		}
		if size > maxStepBytes {
			return nil, fault.New(fault.Invalid, "steps[%d] has %d bytes; at most %d are possible", i, size, maxStepBytes)
		}
		step, err := convertStep(one)
		if err != nil {
			return nil, fault.New(fault.Invalid, "steps[%d]: %s", i, err)
		}
		step.Name, step.Force = strconv.Itoa(i+1), one.Force
		step.Text = strings.TrimRight(strings.ToUpper(one.Type)+" "+strings.Join(one.Args, " "), " ")
		steps = append(steps, step)
	}
	return steps, nil
}

func convertStep(one Instruction) (Step, error) {
	switch kind := strings.ToUpper(one.Type); kind {
	case "RUN":
		return runStep(one.Args)
	case "COPY", "ADD":
		return copyStep(kind, one)
	case "ENV":
		variables, err := variablesOf(kind, one.Args)
		return Step{Env: variables}, err
	case "ARG":
		variables, err := variablesOf(kind, one.Args)
		return Step{Arg: variables}, err
	case "WORKDIR":
		if len(one.Args) != 1 || one.Args[0] == "" {
			return Step{}, fault.New(fault.Invalid, "WORKDIR has one argument, a directory")
		}
		return Step{Workdir: one.Args[0]}, nil
	case "USER":
		return userStep(one.Args)
	default:
		return Step{}, fault.New(fault.Invalid, "type %.20q is none of RUN, COPY, ADD, ENV, ARG, WORKDIR and USER", one.Type)
	}
}

func runStep(args []string) (Step, error) {
	if len(args) == 0 || len(args) > 2 || args[0] == "" {
		return Step{}, fault.New(fault.Invalid, "RUN has a command, and may have a user")
	}
	run := &Run{Command: args[0]}
	if len(args) == 2 {
		run.User = args[1]
	}
	return Step{Run: run}, checkOwner("user", run.User)
}

func copyStep(kind string, one Instruction) (Step, error) {
	if len(one.Args) < 2 || len(one.Args) > 4 || one.Args[0] == "" || one.Args[1] == "" {
		return Step{}, fault.New(fault.Invalid, "%s has a source and a destination, and may have an owner and a mode", kind)
	}
	args := append(append([]string{}, one.Args...), "", "")[:4]
	source, destination, owner, mode := args[0], args[1], args[2], args[3]
	if err := checkOwner("owner", owner); err != nil {
		return Step{}, err
	}
	if mode != "" && !IsMode(mode) {
		return Step{}, fault.New(fault.Invalid, "mode must be three or four octal digits")
	}
	if link, err := url.Parse(source); kind == "ADD" && err == nil && one.FilesHash == "" && (link.Scheme == "http" || link.Scheme == "https") {
		return Step{AddURL: &AddURL{URL: source, Destination: destination, Owner: owner, Mode: mode}}, nil
	}
	if !IsFilesHash(one.FilesHash) {
		return Step{}, fault.New(fault.Invalid, "filesHash must have 64 hex digits")
	}
	if clean := path.Clean(source); path.IsAbs(source) || clean == ".." || strings.HasPrefix(clean, "../") {
		return Step{}, fault.New(fault.Invalid, "%s: the source must be a path within the upload", kind)
	}
	return Step{Copy: &Copy{
		FilesHash: one.FilesHash, Sources: []string{source}, Destination: destination, Owner: owner, Mode: mode, Extract: kind == "ADD",
	}}, nil
}

func variablesOf(kind string, args []string) ([]Variable, error) {
	if len(args) == 0 || len(args)%2 != 0 {
		return nil, fault.New(fault.Invalid, "%s has pairs of a name and a value", kind)
	}
	variables := make([]Variable, 0, len(args)/2)
	for i := 0; i < len(args); i += 2 {
		if !IsVariableName(args[i]) {
			return nil, fault.New(fault.Invalid, "%s: %.64q is not a variable's name", kind, args[i])
		}
		variables = append(variables, Variable{Name: args[i], Value: args[i+1]})
	}
	return variables, nil
}

func userStep(args []string) (Step, error) {
	if len(args) == 0 || len(args) > 2 || args[0] == "" {
		return Step{}, fault.New(fault.Invalid, "USER has a name, and may have \"true\" for sudo")
	}
	user := &User{Name: args[0], Sudo: len(args) == 2 && args[1] == "true"}
	return Step{User: user}, checkOwner("user", user.Name)
}

// checkOwner checks a user, with a group or without; empty is none.
func checkOwner(what, name string) error {
	if name != "" && !ownerPattern.MatchString(name) {
		return fault.New(fault.Invalid, "%s must be a name or a number, or two of them with a colon between", what)
	}
	return nil
}

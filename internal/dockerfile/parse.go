package dockerfile

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Parse reads a Dockerfile. The error has all faults, each a *LineError, up to ten.
func Parse(source io.Reader, options Options) (*Plan, error) {
	content, err := io.ReadAll(io.LimitReader(source, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > MaxBytes {
		return nil, at(0, "the Dockerfile is larger than %d KiB", MaxBytes>>10)
	}
	if bytes.ContainsAny(content, reserved) {
		return nil, at(0, "the Dockerfile has control characters that no text has")
	}
	tree, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return nil, located(err, 0)
	}
	file, err := read(tree)
	if err != nil {
		return nil, err
	}
	return file.plan(options)
}

// file is a Dockerfile's instructions, before variables are expanded.
type file struct {
	arguments []*instructions.ArgCommand
	stages    []*instructions.Stage
	escape    rune
}

// read parses each instruction, so that one fault does not hide the others.
func read(tree *parser.Result) (*file, error) {
	read := &file{escape: tree.EscapeToken}
	var faults []error
	for _, node := range tree.AST.Children {
		one, err := instructions.ParseInstructionWithLinter(node, linter.New(&linter.Config{SkipAll: true}))
		if err != nil {
			faults = append(faults, located(err, node.StartLine))
			continue
		}
		switch one := one.(type) {
		case *instructions.Stage:
			read.stages = append(read.stages, one)
		case *instructions.ArgCommand:
			if len(read.stages) == 0 {
				read.arguments = append(read.arguments, one)
				continue
			}
			read.last().AddCommand(one)
		case instructions.Command:
			if len(read.stages) == 0 {
				faults = append(faults, at(node.StartLine, "%s comes before the first FROM", strings.ToUpper(one.Name())))
				continue
			}
			read.last().AddCommand(one)
		}
	}
	if len(faults) == 0 && len(read.stages) == 0 {
		faults = append(faults, at(0, "the Dockerfile has no FROM"))
	}
	return read, join(faults)
}

func (f *file) last() *instructions.Stage { return f.stages[len(f.stages)-1] }

// located turns an error of the parser into one with a line. Its own text says "dockerfile
// parse error" and the line a second time.
func located(err error, line int) error {
	var with *parser.LocationError
	if errors.As(err, &with) && len(with.Locations) > 0 && len(with.Locations[0]) > 0 {
		line = with.Locations[0][0].Start.Line
	}
	message := err.Error()
	if _, rest, found := strings.Cut(message, "parse error on line "); found {
		if _, cause, found := strings.Cut(rest, ": "); found {
			message = cause
		}
	}
	return at(line, "%s", message)
}

func lineOf(location []parser.Range) int {
	if len(location) == 0 {
		return 0
	}
	return location[0].Start.Line
}

package dockerfile

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
)

// place is where copied files go, and whose they are.
type place struct{ destination, owner, mode string }

func readPlace(scope *scope, destination, owner, mode string, sources int) (place, error) {
	var read place
	var err error
	if read.destination, err = scope.text(destination); err != nil {
		return place{}, err
	}
	if read.owner, err = scope.text(owner); err != nil {
		return place{}, err
	}
	if read.mode, err = scope.resolve(mode); err != nil {
		return place{}, err
	}
	if read.mode != "" && !build.IsMode(read.mode) {
		return place{}, fmt.Errorf("--chmod=%s is not an octal mode such as 644 or 0755", read.mode)
	}
	if sources > 1 && !strings.HasSuffix(read.destination, "/") && read.destination != "." {
		return place{}, fmt.Errorf("several sources need a destination that is a directory and ends with /")
	}
	return read, nil
}

func (p *planner) readCopy(to *stage, index int, command *instructions.CopyCommand, add func(build.Step)) error {
	if command.Parents {
		return errors.New("--parents is not supported")
	}
	at, err := readPlace(to.scope, command.DestPath, command.Chown, command.Chmod, len(command.SourcePaths)+len(command.SourceContents))
	if err != nil {
		return err
	}
	from := build.Copy{}
	if command.From != "" {
		name, err := p.global.resolve(command.From)
		if err != nil {
			return err
		}
		if len(command.ExcludePatterns) > 0 {
			return errors.New("--exclude is not supported together with --from")
		}
		if source, found := p.find(name, index); found {
			from.FromStage = &source
			to.needs = append(to.needs, source)
		} else if strings.EqualFold(name, p.file.stages[index].Name) {
			return fmt.Errorf("--from=%s is the stage itself", name)
		} else if !build.IsImageReference(name) {
			return fmt.Errorf("--from=%.128s is neither a stage nor an image", name)
		} else {
			from.FromImage = name
		}
	}
	return addFiles(to, from, at, command.SourcesAndDest, command.ExcludePatterns, add)
}

func (p *planner) readAdd(to *stage, command *instructions.AddCommand, add func(build.Step)) error {
	if command.KeepGitDir != nil {
		return errors.New("repositories are not supported: clone with RUN git")
	}
	at, err := readPlace(to.scope, command.DestPath, command.Chown, command.Chmod, len(command.SourcePaths)+len(command.SourceContents))
	if err != nil {
		return err
	}
	files := command.SourcesAndDest
	files.SourcePaths = nil
	for _, word := range command.SourcePaths {
		source, err := to.scope.resolve(word)
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(source, "http://"), strings.HasPrefix(source, "https://"):
			if err := addURL(source, command, at, add); err != nil {
				return err
			}
		case strings.HasPrefix(source, "git@"), strings.Contains(source, "://"):
			return fmt.Errorf("%.128s is not supported: ADD takes files and http or https URLs; clone with RUN git", source)
		default:
			files.SourcePaths = append(files.SourcePaths, word)
		}
	}
	if len(files.SourcePaths)+len(files.SourceContents) == 0 {
		return nil
	}
	if command.Checksum != "" {
		return errors.New("--checksum is only for URLs")
	}
	unpack := command.Unpack == nil || *command.Unpack
	return addFiles(to, build.Copy{Extract: unpack}, at, files, command.ExcludePatterns, add)
}

var checksum = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func addURL(source string, command *instructions.AddCommand, at place, add func(build.Step)) error {
	parsed, err := url.Parse(source)
	switch {
	case err != nil || parsed.Host == "":
		return fmt.Errorf("%.128q is not a URL", source)
	case strings.HasSuffix(parsed.Path, ".git"):
		return errors.New("repositories are not supported: clone with RUN git")
	case command.Unpack != nil && *command.Unpack:
		return errors.New("--unpack is not supported for URLs: download and unpack with RUN")
	case command.Checksum != "" && !checksum.MatchString(command.Checksum):
		return errors.New("--checksum must be sha256: and 64 hex digits")
	case strings.HasSuffix(at.destination, "/") && (path.Base(parsed.Path) == "." || path.Base(parsed.Path) == "/"):
		return errors.New("the URL names no file: give the file's name in the destination")
	}
	add(build.Step{AddURL: &build.AddURL{
		URL: written(source), Destination: at.destination, Owner: at.owner, Mode: at.mode, Checksum: command.Checksum,
	}})
	return nil
}

// addFiles adds one step for the paths, and one for each here-document.
func addFiles(to *stage, from build.Copy, at place, files instructions.SourcesAndDest, excludes []string, add func(build.Step)) error {
	from.Destination, from.Owner, from.Mode = at.destination, at.owner, at.mode
	for _, document := range files.SourceContents {
		content := document.Data
		if document.Expand {
			expanded, err := to.scope.resolveDocument(content)
			if err != nil {
				return err
			}
			content = expanded
		}
		one := from
		one.FromStage, one.FromImage, one.Extract = nil, "", false
		one.Content = &content
		if strings.HasSuffix(one.Destination, "/") {
			one.Destination += document.Path
		}
		add(build.Step{Copy: &one})
	}
	if len(files.SourcePaths) == 0 {
		return nil
	}
	var err error
	if from.Sources, err = readSources(to.scope, files.SourcePaths); err != nil {
		return err
	}
	add(build.Step{Copy: &from})
	if from.FromStage != nil || from.FromImage != "" {
		return nil
	}
	last := len(to.Steps) - 1
	upload := Upload{Line: to.Steps[last].Line, Sources: from.Sources}
	for _, pattern := range excludes {
		resolved, err := to.scope.resolve(pattern)
		if err != nil {
			return err
		}
		upload.Excludes = append(upload.Excludes, resolved)
	}
	to.uploads[last] = upload
	return nil
}

func readSources(scope *scope, words []string) ([]string, error) {
	var sources []string
	for _, word := range words {
		source, err := scope.resolve(word)
		if err != nil {
			return nil, err
		}
		// A source cannot leave the root that it is relative to.
		source = strings.TrimPrefix(path.Clean("/"+source), "/")
		if source == "" {
			source = "."
		}
		if _, err := path.Match(source, ""); err != nil {
			return nil, fmt.Errorf("%.128q is not a path or a pattern", source)
		}
		sources = append(sources, source)
	}
	return sources, nil
}

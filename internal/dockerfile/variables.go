package dockerfile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
)

// A variable that only the base image can have set is kept as a reference while other
// variables are expanded: its name between these two characters, which no Dockerfile may
// contain.
const (
	referenceStart = "\x01"
	referenceEnd   = "\x02"
	reserved       = "\x00" + referenceStart + referenceEnd
)

var reference = regexp.MustCompile(referenceStart + `([^` + referenceEnd + `]*)` + referenceEnd)

// platformArguments are set in every build. Source: Dockerfile reference, "Automatic
// platform ARGs in the global scope".
var platformArguments = map[string]string{
	"TARGETPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETARCH": "amd64", "TARGETVARIANT": "",
	"BUILDPLATFORM": "linux/amd64", "BUILDOS": "linux", "BUILDARCH": "amd64", "BUILDVARIANT": "",
}

// predefinedArguments may be given for any build without an ARG. Source: Dockerfile
// reference, "Predefined ARGs".
var predefinedArguments = []string{
	"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy",
}

// scope is the variables at one place in a Dockerfile. Values may have references.
type scope struct {
	lexer *shell.Lex
	// documentLexer keeps quotes, for here-documents.
	documentLexer *shell.Lex
	// environment is what ENV set, arguments what ARG did. ENV prevails.
	environment, arguments map[string]string
	// closed: there is no base image that could have set others.
	closed bool
}

func newScope(escape rune) *scope {
	document := shell.NewLex('\\')
	document.SkipProcessQuotes = true
	return &scope{lexer: shell.NewLex(escape), documentLexer: document, environment: map[string]string{}, arguments: map[string]string{}}
}

func (s *scope) copy() *scope {
	return &scope{lexer: s.lexer, documentLexer: s.documentLexer, environment: maps.Clone(s.environment), arguments: maps.Clone(s.arguments), closed: s.closed}
}

// MaxValueBytes bounds what a word may expand to: ENV A=$A$A, often enough, would
// otherwise need more memory than there is.
const MaxValueBytes = 64 << 10

// process expands a word by a lexer. The result may have references.
func (s *scope) process(lexer *shell.Lex, word string) (shell.ProcessWordResult, error) {
	seen := &variables{scope: s, word: word}
	result, err := lexer.ProcessWordWithMatches(word, seen)
	if seen.bytes > MaxValueBytes {
		return shell.ProcessWordResult{}, fmt.Errorf("the value is larger than %d KiB", MaxValueBytes>>10)
	}
	return result, err
}

// expand expands a word. Its result may have references.
func (s *scope) expand(word string) (string, error) {
	result, err := s.process(s.lexer, word)
	return result.Result, err
}

// resolve expands a word that has to be known before the build.
func (s *scope) resolve(word string) (string, error) {
	return known(s.expand(word))
}

// resolveDocument expands the text of a here-document.
func (s *scope) resolveDocument(text string) (string, error) {
	result, err := s.process(s.documentLexer, text)
	return known(result.Result, err)
}

// known returns an error for a value that has references.
func known(value string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if unknown := reference.FindStringSubmatch(value); unknown != nil {
		return "", unknownVariableError(unknown[1])
	}
	return value, nil
}

// resolveBase expands the base of a stage, whose variables must all be set.
func (s *scope) resolveBase(word string) (string, error) {
	result, err := s.process(s.lexer, word)
	for name := range result.Unmatched {
		return "", fmt.Errorf("$%s is not set: declare it with ARG before the first FROM", name)
	}
	return result.Result, err
}

type unknownVariableError string

// Error says what to do.
func (e unknownVariableError) Error() string {
	return "$" + string(e) + " is not set in this Dockerfile: declare it with ARG or ENV before it is used here"
}

// text expands a word into a text of an Action.
func (s *scope) text(word string) (string, error) {
	value, err := s.expand(word)
	return written(value), err
}

var escaper = strings.NewReplacer(`$`, `\$`)

// written is a value as a text of an Action.
func written(value string) string {
	return reference.ReplaceAllString(escaper.Replace(value), "$${$1}")
}

// variables is a scope as one word sees it.
type variables struct {
	*scope
	word  string
	bytes int // of the values that were returned
}

// Get returns a variable's value, or a reference to one that the base image may have set.
func (v *variables) Get(name string) (string, bool) {
	value, set := v.get(name)
	if v.bytes += len(value); v.bytes > MaxValueBytes {
		return "", true
	}
	return value, set
}

func (v *variables) get(name string) (string, bool) {
	if value, set := v.environment[name]; set {
		return value, true
	}
	if value, set := v.arguments[name]; set {
		return value, true
	}
	if v.closed || !build.IsVariableName(name) || name != "PATH" && v.isModified(name) {
		return "", false
	}
	return referenceStart + name + referenceEnd, true
}

// Keys returns the names of the known variables.
func (v *variables) Keys() []string {
	return slices.Sorted(maps.Keys(v.environment))
}

// isModified reports whether the word says what a variable that is not set stands for, as
// ${name:-value} does. It is then taken to be not set; every image sets PATH.
func (v *variables) isModified(name string) bool {
	for rest := v.word; ; {
		_, after, found := strings.Cut(rest, "${"+name)
		if !found {
			return false
		}
		if after != "" && strings.ContainsRune(":-+?#%/", rune(after[0])) {
			return true
		}
		rest = after
	}
}

package plan

import (
	"encoding/hex"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Instruction is what a step does: one of the types below.
type Instruction interface {
	check(stage int, r Request) error
}

// Run runs a command.
type Run struct {
	// Command is a line for the shell; empty with Exec.
	Command string
	// Exec is a command without a shell.
	Exec []string `json:",omitempty"`
	// User runs it; empty for the current one.
	User    string        `json:",omitempty"`
	Secrets []SecretMount `json:",omitempty"`
}

// SecretMount makes a secret readable during one step.
type SecretMount struct {
	ID string
	// Path of the file; empty for /run/secrets/ and the ID.
	Path string `json:",omitempty"`
	// Variable, if set, has the value instead.
	Variable string `json:",omitempty"`
	Required bool   `json:",omitempty"`
}

// Copy copies files of an upload, another stage or an image.
type Copy struct {
	FilesHash string `json:",omitempty"`
	FromStage *int   `json:",omitempty"`
	FromImage *Image `json:",omitempty"`
	Sources   []string
	// Destination ends with / if it is a directory.
	Destination string
	// Owner is "user", "user:group" or numbers; empty for the current user.
	Owner string `json:",omitempty"`
	// Mode is octal; empty for the files' own.
	Mode string `json:",omitempty"`
	// Extract unpacks archives.
	Extract bool `json:",omitempty"`
	// Content is the file's, instead of sources.
	Content *[]byte `json:",omitempty"`
}

// AddURL downloads a file.
type AddURL struct {
	URL         string
	Destination string
	Owner       string `json:",omitempty"`
	Mode        string `json:",omitempty"`
	// Checksum is "sha256:" and 64 hex digits; empty for none.
	Checksum string `json:",omitempty"`
}

// Env sets variables of this and later stages and of the template.
type Env struct{ Variables []Variable }

// Arg sets variables of this stage only.
type Arg struct{ Variables []Variable }

// Variable is a name and a value, which may use earlier variables.
type Variable struct{ Name, Value string }

// Workdir makes a directory and goes there.
type Workdir struct{ Path string }

// User changes who runs later steps and the template's commands.
type User struct {
	Name string
	// Sudo lets it become root without a password.
	Sudo bool `json:",omitempty"`
	// MustExist: it is not made.
	MustExist bool `json:",omitempty"`
}

// Shell replaces the shell of later Run steps.
type Shell struct{ Shell []string }

// ImageConfig replaces entrypoint and command; nil keeps them.
type ImageConfig struct {
	Entrypoint *[]string `json:",omitempty"`
	Command    *[]string `json:",omitempty"`
}

func (i Run) check(_ int, r Request) error {
	if (i.Command == "") == (len(i.Exec) == 0) {
		return invalid("it needs a command line or a command with arguments, and not both")
	}
	if len(i.Command) > maxTextBytes || hasNUL(append([]string{i.Command}, i.Exec...)...) {
		return invalid("the command is longer than %d bytes or has a NUL byte", maxTextBytes)
	}
	for _, mount := range i.Secrets {
		if _, given := r.Secrets[mount.ID]; mount.Required && !given {
			return invalid("secret %q is required and was not given", mount.ID)
		}
		if !secretID.MatchString(mount.ID) {
			return invalid("secret %q: an ID has letters, digits, dots, dashes and underscores", mount.ID)
		}
		if mount.Path != "" && (!path.IsAbs(mount.Path) || hasNUL(mount.Path)) {
			return invalid("secret %q: %q is not an absolute path", mount.ID, mount.Path)
		}
		if mount.Variable != "" && !variableName.MatchString(mount.Variable) {
			return invalid("secret %q: %q is not the name of a variable", mount.ID, mount.Variable)
		}
	}
	return nil
}

var (
	secretID     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	octalMode    = regexp.MustCompile(`^0?[0-7]{1,4}$`)
)

// IsFilesHash reports whether a text can name an upload.
func IsFilesHash(hash string) bool {
	const digits = 64
	decoded, err := hex.DecodeString(hash)
	return err == nil && len(hash) == digits && hex.EncodeToString(decoded) == hash
}

func (i Copy) check(stage int, _ Request) error {
	origins := 0
	for _, set := range []bool{i.FilesHash != "", i.FromStage != nil, i.FromImage != nil, i.Content != nil} {
		if set {
			origins++
		}
	}
	switch {
	case origins != 1:
		return invalid("the files have to come from exactly one upload, stage, image or text")
	case i.FilesHash != "" && !IsFilesHash(i.FilesHash):
		return invalid("the files' hash %q does not have 64 hex digits", i.FilesHash)
	case i.FromStage != nil && (*i.FromStage < 0 || *i.FromStage >= stage):
		return invalid("the files are of stage %d, which is not an earlier one", *i.FromStage)
	case i.Content == nil && len(i.Sources) == 0 || i.Destination == "":
		return invalid("a source or the destination is missing")
	case i.Content != nil && strings.HasSuffix(i.Destination, "/") && len(i.Sources) == 0:
		return invalid("the destination of a text is a file")
	}
	return checkTarget(i.Destination, i.Owner, i.Mode, i.Sources...)
}

// checkTarget checks what copies have in common.
func checkTarget(destination, owner, mode string, sources ...string) error {
	if hasNUL(append([]string{destination, owner}, sources...)...) {
		return invalid("a path or an owner has a NUL byte")
	}
	if mode != "" && !octalMode.MatchString(mode) {
		return invalid("mode %q is not octal", mode)
	}
	for _, source := range sources {
		if _, err := path.Match(source, ""); err != nil {
			return invalid("source %q is not a pattern", source)
		}
	}
	return nil
}

func (i AddURL) check(int, Request) error {
	if i.Destination == "" || i.URL == "" {
		return invalid("the URL or the destination is missing")
	}
	const prefix = "sha256:"
	if i.Checksum != "" && (!strings.HasPrefix(i.Checksum, prefix) || !IsFilesHash(strings.TrimPrefix(i.Checksum, prefix))) {
		return invalid("the checksum %q is not sha256: and 64 hex digits", i.Checksum)
	}
	return checkTarget(i.Destination, i.Owner, i.Mode)
}

// CheckURL checks the URL of an AddURL whose variables were filled in.
func CheckURL(text string) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || !slices.Contains([]string{"http", "https"}, parsed.Scheme) {
		return invalid("%q is not an http or https URL", text)
	}
	return nil
}

func (i Env) check(int, Request) error { return checkVariables(i.Variables) }
func (i Arg) check(int, Request) error { return checkVariables(i.Variables) }

func checkVariables(variables []Variable) error {
	for _, variable := range variables {
		if variable.Name == "" || strings.ContainsAny(variable.Name, "=\x00") || hasNUL(variable.Value) {
			return invalid("the variable %s cannot be set", strconv.Quote(variable.Name))
		}
	}
	return nil
}

func (i Workdir) check(int, Request) error {
	if i.Path == "" || hasNUL(i.Path) {
		return invalid("%q is not a directory", i.Path)
	}
	return nil
}

func (i User) check(int, Request) error {
	if i.Name == "" || hasNUL(i.Name) {
		return invalid("%q is not a user", i.Name)
	}
	return nil
}

func (i Shell) check(int, Request) error {
	if len(i.Shell) == 0 || hasNUL(i.Shell...) {
		return invalid("the shell is empty")
	}
	return nil
}

func (i ImageConfig) check(int, Request) error { return nil }

func hasNUL(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.ContainsRune(text, 0) })
}

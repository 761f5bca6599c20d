package plan

import (
	"maps"
	"path"
	"slices"
)

// Context is what instructions before a step have set.
type Context struct {
	// User is a name in the guest's /etc/passwd, and Home its directory.
	User string
	Home string
	// Workdir is absolute.
	Workdir string
	Env     map[string]string `json:",omitempty"`
	// Args are for the steps of one stage; Env has precedence.
	Args       map[string]string `json:",omitempty"`
	Shell      []string          `json:",omitempty"`
	Entrypoint []string          `json:",omitempty"`
	Command    []string          `json:",omitempty"`
}

// The user of templates where nothing names another.
const (
	DefaultUser = "user"
	DefaultHome = "/home/user"
)

// NewContext is that of a user in its home directory.
func NewContext(user, home string) Context {
	return Context{User: user, Home: home, Workdir: home}
}

// defaultPath is what the guest agent's commands have where nothing sets PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Variables are those that a step's command gets.
func (c Context) Variables() map[string]string {
	all := make(map[string]string, len(c.Env)+len(c.Args))
	maps.Copy(all, c.Args)
	maps.Copy(all, c.Env)
	return all
}

// lookUp finds a variable for an expansion. Those that the guest agent sets are known
// too.
func (c Context) lookUp(name string) (string, bool) {
	if value, set := c.Env[name]; set {
		return value, true
	}
	if value, set := c.Args[name]; set {
		return value, true
	}
	switch name {
	case "PATH":
		return defaultPath, true
	case "HOME":
		return c.Home, true
	case "USER", "LOGNAME":
		return c.User, true
	case "PWD":
		return c.Workdir, true
	default:
		return "", false
	}
}

// Expand fills in the variables in a text.
func (c Context) Expand(text string) string { return Expand(text, c.lookUp) }

// Resolve is a path as seen from the working directory. A slash at its end stays.
func (c Context) Resolve(name string) string {
	resolved := name
	if !path.IsAbs(resolved) {
		resolved = path.Join(c.Workdir, resolved)
	}
	resolved = path.Clean(resolved)
	if resolved != "/" && (len(name) > 0 && name[len(name)-1] == '/' || path.Base(name) == ".") {
		resolved += "/"
	}
	return resolved
}

// clone is a copy whose maps are its own.
func (c Context) clone() Context {
	c.Env, c.Args = maps.Clone(c.Env), maps.Clone(c.Args)
	c.Shell, c.Entrypoint, c.Command = slices.Clone(c.Shell), slices.Clone(c.Entrypoint), slices.Clone(c.Command)
	return c
}

// ForStage is the context of a stage that begins with the end of another: without its
// arguments.
func (c Context) ForStage() Context {
	c = c.clone()
	c.Args = nil
	return c
}

// Apply applies an instruction that changes nothing but the context. ok is false for one
// that needs the guest.
func (c Context) Apply(instruction Instruction) (next Context, ok bool) {
	next = c.clone()
	switch i := instruction.(type) {
	case Env:
		for _, variable := range i.Variables {
			if next.Env == nil {
				next.Env = make(map[string]string)
			}
			// All values of one instruction see the variables from before it.
			next.Env[variable.Name] = c.Expand(variable.Value)
		}
	case Arg:
		for _, variable := range i.Variables {
			if next.Args == nil {
				next.Args = make(map[string]string)
			}
			next.Args[variable.Name] = c.Expand(variable.Value)
		}
	case Shell:
		next.Shell = slices.Clone(i.Shell)
	case ImageConfig:
		if i.Entrypoint != nil {
			next.Entrypoint = slices.Clone(*i.Entrypoint)
			if i.Command == nil {
				next.Command = nil // as Docker does: the old command was for the old entrypoint
			}
		}
		if i.Command != nil {
			next.Command = slices.Clone(*i.Command)
		}
	default:
		return c, false
	}
	return next, true
}

// Expanded is an instruction with the context's variables filled in where an instruction's
// texts may have any. A Run's are filled in by its shell.
func (c Context) Expanded(instruction Instruction) Instruction {
	switch i := instruction.(type) {
	case Copy:
		i.Destination, i.Owner = c.Resolve(c.Expand(i.Destination)), c.Expand(i.Owner)
		return i
	case AddURL:
		i.URL, i.Destination, i.Owner = c.Expand(i.URL), c.Resolve(c.Expand(i.Destination)), c.Expand(i.Owner)
		return i
	case Workdir:
		i.Path = path.Clean(c.Resolve(c.Expand(i.Path)))
		return i
	case User:
		i.Name = c.Expand(i.Name)
		return i
	default:
		return instruction
	}
}

// DefaultShell runs command lines.
var DefaultShell = []string{"/bin/bash", "-l", "-c"}

// Arguments is the command that a Run executes.
func (c Context) Arguments(run Run) []string {
	if len(run.Exec) > 0 {
		return run.Exec
	}
	shell := c.Shell
	if len(shell) == 0 {
		shell = DefaultShell
	}
	return append(slices.Clone(shell), run.Command)
}

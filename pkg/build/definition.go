// Package build has the types of template builds: what is to be done, the log, and how a
// build ends.
package build

// Definition is what a build does. It has nothing that is confidential; see Confidential.
// It is stored as JSON.
type Definition struct {
	// Stages are built in order, each only if the last one needs it. The last is the
	// template.
	Stages []Stage `json:"stages"`
	// StartCommand runs when the template boots and is in its snapshot; empty for none.
	StartCommand string `json:"startCommand,omitempty"`
	// ReadyCommand is tried until it succeeds; empty for none.
	ReadyCommand string `json:"readyCommand,omitempty"`
	// Force ignores cached layers.
	Force bool `json:"force,omitempty"`
	// UseImageCommand starts the image's entrypoint and command where StartCommand is empty.
	UseImageCommand bool `json:"useImageCommand,omitempty"`
	// ImageDefaults: steps from an image begin as a Dockerfile's do, as the image's user or
	// root, in the image's directory or /, and with /bin/sh. Otherwise they begin as "user"
	// where the image names none, and with bash.
	ImageDefaults bool `json:"imageDefaults,omitempty"`
	// Init is the template's first process: empty for Wrenn's, or "systemd".
	Init string `json:"init,omitempty"`
}

// Stage is a file system that is built step by step.
type Stage struct {
	// Name may be empty.
	Name  string `json:"name,omitempty"`
	Base  Base   `json:"base"`
	Steps []Step `json:"steps,omitempty"`
}

// Base is what a stage begins with; exactly one field is set.
type Base struct {
	// Image is a reference as for docker pull.
	Image string `json:"image,omitempty"`
	// Template is a template's name or ID, as clients write it.
	Template string `json:"template,omitempty"`
	// Stage is the index of an earlier stage.
	Stage *int `json:"stage,omitempty"`
	// Scratch is an empty file system.
	Scratch bool `json:"scratch,omitempty"`
}

// Step is one instruction; exactly one of the fields after Force is set.
type Step struct {
	// Name is what log entries and failures call the step: "1" for the first of those that
	// the client sent.
	Name string `json:"name"`
	// Text is the instruction for people, such as "RUN make".
	Text string `json:"text"`
	// Line is where it begins in a Dockerfile, from 1 on; 0 for none.
	Line int `json:"line,omitempty"`
	// Force runs it even if its layer is cached, and all later ones.
	Force bool `json:"force,omitempty"`

	Run         *Run         `json:"run,omitempty"`
	Copy        *Copy        `json:"copy,omitempty"`
	AddURL      *AddURL      `json:"addURL,omitempty"`
	Env         []Variable   `json:"env,omitempty"`
	Arg         []Variable   `json:"arg,omitempty"`
	Workdir     string       `json:"workdir,omitempty"`
	User        *User        `json:"user,omitempty"`
	Shell       []string     `json:"shell,omitempty"`
	ImageConfig *ImageConfig `json:"imageConfig,omitempty"`
}

// Run runs a command.
type Run struct {
	// Command is a line for the shell.
	Command string `json:"command,omitempty"`
	// Exec is a command without a shell; then Command is empty.
	Exec []string `json:"exec,omitempty"`
	// User runs this step; empty for the current one.
	User    string        `json:"user,omitempty"`
	Secrets []SecretMount `json:"secrets,omitempty"`
}

// SecretMount makes a secret of the build readable during one step.
type SecretMount struct {
	ID string `json:"id"`
	// Path of the file; empty for /run/secrets/ and the ID.
	Path string `json:"path,omitempty"`
	// Variable, if set, has the value in the environment, and there is no file.
	Variable string `json:"variable,omitempty"`
	Required bool   `json:"required,omitempty"`
}

// Copy copies files from an upload, an earlier stage or an image, or writes Content.
type Copy struct {
	// FilesHash names an upload of the team.
	FilesHash string `json:"filesHash,omitempty"`
	FromStage *int   `json:"fromStage,omitempty"`
	FromImage string `json:"fromImage,omitempty"`
	// Sources are paths, with patterns, in what is copied from.
	Sources []string `json:"sources,omitempty"`
	// Destination may be relative to the working directory; one that ends with / is a
	// directory.
	Destination string `json:"destination"`
	// Owner is "user", "user:group" or numbers; empty for the current user.
	Owner string `json:"owner,omitempty"`
	// Mode is octal; empty for the files' own.
	Mode string `json:"mode,omitempty"`
	// Extract unpacks archives.
	Extract bool `json:"extract,omitempty"`
	// Content, if not nil, is the file's content; then there are no sources.
	Content *string `json:"content,omitempty"`
}

// AddURL copies a file from an http or https URL.
type AddURL struct {
	URL         string `json:"url"`
	Destination string `json:"destination"`
	Owner       string `json:"owner,omitempty"`
	Mode        string `json:"mode,omitempty"`
	// Checksum is "sha256:" and hex digits; empty for none.
	Checksum string `json:"checksum,omitempty"`
}

// Variable is a variable of the environment.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// User makes the user of later steps.
type User struct {
	// Name is "user", "user:group" or numbers.
	Name string `json:"name"`
	// Sudo lets it become root without a password.
	Sudo bool `json:"sudo,omitempty"`
	// MustExist fails where there is none; otherwise it is made.
	MustExist bool `json:"mustExist,omitempty"`
}

// ImageConfig replaces the image's entrypoint and command; nil keeps them.
type ImageConfig struct {
	Entrypoint *[]string `json:"entrypoint,omitempty"`
	Command    *[]string `json:"command,omitempty"`
}

// Confidential is what of a build is sealed at rest and deleted when the build ends.
type Confidential struct {
	// Registries are credentials, by the reference of the image.
	Registries map[string]Credentials `json:"registries,omitempty"`
	// Secrets are those of the steps that mount them, by ID.
	Secrets map[string][]byte `json:"secrets,omitempty"`
}

// IsEmpty reports whether there is nothing to keep.
func (c Confidential) IsEmpty() bool { return len(c.Registries) == 0 && len(c.Secrets) == 0 }

// Credentials open a registry; exactly one field is set.
type Credentials struct {
	Basic  *BasicCredentials  `json:"basic,omitempty"`
	AWS    *AWSCredentials    `json:"aws,omitempty"`
	Google *GoogleCredentials `json:"google,omitempty"`
}

// BasicCredentials are a user's name and password.
type BasicCredentials struct{ Username, Password string }

// AWSCredentials open an Elastic Container Registry.
type AWSCredentials struct{ AccessKeyID, SecretAccessKey, Region string }

// GoogleCredentials are a service account's key, as JSON.
type GoogleCredentials struct{ ServiceAccountJSON string }

// Files returns the hashes of the uploads that a build needs.
func (d Definition) Files() []string {
	var hashes []string
	for _, stage := range d.Stages {
		for _, step := range stage.Steps {
			if step.Copy != nil && step.Copy.FilesHash != "" {
				hashes = append(hashes, step.Copy.FilesHash)
			}
		}
	}
	return hashes
}

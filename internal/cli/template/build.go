package template

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// options are the flags of build.
type options struct {
	directory, file, name, target string
	tags, arguments, secrets      []string
	registries                    []string
	start, ready, init            string
	cpus, memoryMB                int
	noCache, detach, asJSON       bool
}

func (c *commands) newBuild() *cobra.Command {
	o := &options{}
	command := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a template from a Dockerfile",
		Long: `Build a template from the Dockerfile of a directory, the current one by default. The
steps run in a microVM of their own; what a step leaves is kept, and the next build goes on
after the last step that is the same.

The image's ENTRYPOINT and CMD run when the template boots, or --start in their place; the
HEALTHCHECK, or --ready, says when it is ready. Sandboxes start from that moment, with
everything running.`,
		Example: `  wrenn template build --name my-template
  wrenn template build ./app --name my-template:v2 --build-arg VERSION=2 --secret id=token,env=TOKEN
  wrenn template build -f docker/Dockerfile.dev --target test --cpus 4 --memory 2048`,
		Args: cobra.MaximumNArgs(1),
		RunE: c.run(func(ctx context.Context, a *apiclient.API, arguments []string) error {
			o.directory = "."
			if len(arguments) > 0 {
				o.directory = arguments[0]
			}
			return c.build(ctx, a, *o)
		}),
	}
	flags := command.Flags()
	flags.StringVarP(&o.file, "file", "f", "", `the Dockerfile (default "DIR/Dockerfile"); - is standard input`)
	flags.StringVarP(&o.name, "name", "n", "", "the template's name, with a tag after a colon or without (default the directory's name)")
	flags.StringArrayVarP(&o.tags, "tag", "t", nil, "a tag of the build; may be repeated")
	flags.StringVar(&o.target, "target", "", "the stage that becomes the template (default the last one)")
	flags.StringArrayVar(&o.arguments, "build-arg", nil, "build argument, as NAME=VALUE, or NAME for that of the environment; may be repeated")
	flags.StringArrayVar(&o.secrets, "secret", nil, "secret for RUN --mount=type=secret, as id=ID,src=FILE or id=ID,env=VARIABLE; may be repeated")
	flags.StringArrayVar(&o.registries, "registry", nil, "credentials of a registry, as HOST=USER:PASSWORD or HOST=USER:@FILE; may be repeated")
	addCommonFlags(command, o)
	return command
}

// addCommonFlags adds those that build and pull share.
func addCommonFlags(command *cobra.Command, o *options) {
	flags := command.Flags()
	flags.IntVar(&o.cpus, "cpus", 2, "virtual CPUs of its sandboxes")
	flags.IntVar(&o.memoryMB, "memory", 1024, "memory of its sandboxes, in MiB")
	flags.StringVar(&o.start, "start", "", "command that runs when the template boots, in place of the image's")
	flags.StringVar(&o.ready, "ready", "", "command that succeeds once the template is ready, in place of the HEALTHCHECK")
	flags.StringVar(&o.init, "init", "", "the template's first process: systemd, which the image must have (default Wrenn's own)")
	flags.BoolVar(&o.noCache, "no-cache", false, "run all steps, also those whose result is kept")
	flags.BoolVarP(&o.detach, "detach", "d", false, "start the build and print its ID, without waiting for it")
	flags.BoolVar(&o.asJSON, "json", false, "print the log and the result as lines of JSON")
}

// planned is what the API reads in a Dockerfile.
type planned struct {
	Uploads []struct {
		Step     string   `json:"step"`
		Sources  []string `json:"sources"`
		Excludes []string `json:"excludes"`
	} `json:"uploads"`
	Warnings []struct {
		Line int    `json:"line"`
		Text string `json:"text"`
	} `json:"warnings"`
}

// requested is a build that waits for its start.
type requested struct {
	TemplateID string   `json:"templateID"`
	BuildID    string   `json:"buildID"`
	Names      []string `json:"names"`
}

// dockerfile is the part of a request that has a Dockerfile.
type dockerfile struct {
	Content   string            `json:"content"`
	Target    string            `json:"target,omitempty"`
	BuildArgs map[string]string `json:"buildArgs,omitempty"`
	// Files are the hashes of uploads by the steps that copy them.
	Files map[string]string `json:"files,omitempty"`
}

func (c *commands) build(ctx context.Context, a *apiclient.API, o options) error {
	content, path, err := c.readDockerfile(o)
	if err != nil {
		return err
	}
	source := dockerfile{Content: content, Target: o.target}
	if source.BuildArgs, err = readArguments(o.arguments); err != nil {
		return err
	}
	secrets, err := readSecrets(o.secrets)
	if err != nil {
		return err
	}
	registries, err := readRegistries(o.registries)
	if err != nil {
		return err
	}
	if o.name == "" {
		if o.name, err = nameOf(o.directory); err != nil {
			return err
		}
	}
	var plan planned
	if _, err := a.Call(ctx, http.MethodPost, "/dockerfiles/plan", source, &plan); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, warning := range plan.Warnings {
		fmt.Fprintf(c.Errors, "warning: %s: %s\n", place(path, warning.Line), warning.Text)
	}
	files, err := findFiles(o.directory, path, plan)
	if err != nil {
		return err
	}
	defer files.close()
	body := map[string]any{"dockerfile": &source, "secrets": secrets, "registries": registries}
	return c.request(ctx, a, o, body, func(of requested) error {
		source.Files = files.hashes()
		return files.upload(ctx, a, of.TemplateID, c.Errors)
	})
}

// request requests a build, prepares it, starts it and follows it to its end.
func (c *commands) request(ctx context.Context, a *apiclient.API, o options, body map[string]any, prepare func(requested) error) error {
	var of requested
	wanted := map[string]any{"name": o.name, "cpuCount": o.cpus, "memoryMB": o.memoryMB}
	if len(o.tags) > 0 {
		wanted["tags"] = o.tags
	}
	if _, err := a.Call(ctx, http.MethodPost, "/v3/templates", wanted, &of); err != nil {
		return fmt.Errorf("build %s: %w", o.name, err)
	}
	if err := prepare(of); err != nil {
		return fmt.Errorf("build %s: %w", o.name, err)
	}
	body["force"] = o.noCache
	if o.start != "" {
		body["startCmd"] = o.start
	}
	if o.ready != "" {
		body["readyCmd"] = o.ready
	}
	if o.init != "" {
		body["init"] = o.init
	}
	started := path(of.TemplateID, "/builds/"+of.BuildID)
	if _, err := a.Call(ctx, http.MethodPost, "/v2"+started, body, nil); err != nil {
		return fmt.Errorf("build %s: %w", o.name, err)
	}
	if o.detach {
		fmt.Fprintf(c.Errors, "the build goes on; follow it: wrenn template logs %s %s\n", of.TemplateID, of.BuildID)
		fmt.Fprintln(c.Output, of.BuildID)
		return nil
	}
	ended, err := c.follow(ctx, a, of.TemplateID, of.BuildID, newPrinter(c.Streams, o.asJSON))
	if ctx.Err() != nil {
		fmt.Fprintf(c.Errors, "the build goes on; follow it: wrenn template logs %s %s\n", of.TemplateID, of.BuildID)
	}
	if err != nil {
		return fmt.Errorf("build %s: %w", o.name, err)
	}
	if err := ended.failure(); err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	return c.announce(o, of)
}

// announce prints a finished build.
func (c *commands) announce(o options, of requested) error {
	if o.asJSON {
		return cli.PrintJSON(c.Output, of)
	}
	fmt.Fprintf(c.Errors, "ready; start a sandbox: wrenn sandbox create %s\n", cmp.Or(append(of.Names, of.TemplateID)[0], of.TemplateID))
	fmt.Fprintln(c.Output, of.TemplateID)
	return nil
}

// readDockerfile returns the Dockerfile and its path.
func (c *commands) readDockerfile(o options) (content, path string, err error) {
	path = cmp.Or(o.file, filepath.Join(o.directory, "Dockerfile"))
	if path == "-" {
		path = "/dev/stdin"
	}
	read, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && o.file == "" {
		return "", "", fmt.Errorf("%s has no Dockerfile; name one with --file, or a directory", o.directory)
	}
	return string(read), path, err
}

func place(path string, line int) string {
	if line == 0 {
		return path
	}
	return fmt.Sprintf("%s:%d", path, line)
}

var notInNames = regexp.MustCompile(`[^a-z0-9_-]+`)

// nameOf makes a template's name of a directory's.
func nameOf(directory string) (string, error) {
	absolute, err := filepath.Abs(directory)
	if err != nil {
		return "", err
	}
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(filepath.Base(absolute)), "-"), "-")
	if name == "" {
		return "", fmt.Errorf("%s makes no name for a template; give one with --name", directory)
	}
	return name, nil
}

// readArguments reads NAME=VALUE, and NAME from the environment.
func readArguments(given []string) (map[string]string, error) {
	read := make(map[string]string, len(given))
	for _, argument := range given {
		name, value, hasValue := strings.Cut(argument, "=")
		if name == "" {
			return nil, fmt.Errorf("--build-arg %q is neither NAME=VALUE nor NAME", argument)
		}
		if !hasValue {
			inherited, set := os.LookupEnv(name)
			if !set {
				continue
			}
			value = inherited
		}
		read[name] = value
	}
	return read, nil
}

// readSecrets reads the values of secrets.
func readSecrets(given []string) (map[string][]byte, error) {
	read := make(map[string][]byte, len(given))
	for _, secret := range given {
		fields := map[string]string{}
		for field := range strings.SplitSeq(secret, ",") {
			key, value, _ := strings.Cut(field, "=")
			fields[strings.ToLower(key)] = value
		}
		id, file, variable := fields["id"], cmp.Or(fields["src"], fields["source"]), fields["env"]
		switch {
		case id == "":
			return nil, fmt.Errorf("--secret %q has no id", secret)
		case file != "":
			value, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("--secret %s: %w", id, err)
			}
			read[id] = value
		default:
			value, set := os.LookupEnv(cmp.Or(variable, id))
			if !set {
				return nil, fmt.Errorf("--secret %s: the variable %s is not set; give src=FILE or env=VARIABLE", id, cmp.Or(variable, id))
			}
			read[id] = []byte(value)
		}
	}
	return read, nil
}

// readRegistries reads HOST=USER:PASSWORD, with the password in a file after an @.
func readRegistries(given []string) (map[string]map[string]string, error) {
	read := make(map[string]map[string]string, len(given))
	for _, registry := range given {
		host, credentials, found := strings.Cut(registry, "=")
		user, password, hasPassword := strings.Cut(credentials, ":")
		if !found || !hasPassword || host == "" || user == "" {
			return nil, errors.New("--registry must be HOST=USER:PASSWORD or HOST=USER:@FILE")
		}
		if _, err := url.Parse("//" + host); err != nil {
			return nil, fmt.Errorf("--registry: %q is no host", host)
		}
		if file, isFile := strings.CutPrefix(password, "@"); isFile {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("--registry %s: %w", host, err)
			}
			password = strings.TrimSpace(string(content))
		}
		read[host] = map[string]string{"type": "registry", "username": user, "password": password}
	}
	return read, nil
}

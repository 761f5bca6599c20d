package template

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
	"git.omukk.dev/wrenn/sandbox/templates"
)

func (c *commands) newPull() *cobra.Command {
	o := &options{}
	user, passwordFile, stock := "", "", false
	var command *cobra.Command
	command = &cobra.Command{
		Use:   "pull IMAGE | pull --stock [NAME...]",
		Short: "Make a template of an image as it is, or build stock templates",
		Long: `Make a template of an image of a registry, as it is: nothing is installed into it. Its
ENTRYPOINT and CMD run when the template boots, or --start in their place.

With --stock, build the templates whose definitions come with Wrenn, all of them or those
that are named:

` + stockList(),
		Example: `  wrenn template pull python:3.12 --name python
  wrenn template pull registry.example.com/team/app:v1 --name app --user me --password-file ./password
  wrenn template pull --stock code-interpreter-v1`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if !stock && len(arguments) != 1 {
				return errors.New("name one image, or stock templates with --stock")
			}
			return nil
		},
		RunE: c.run(func(ctx context.Context, a *apiclient.API, arguments []string) error {
			if stock {
				return c.pullStock(ctx, a, command.Flags(), *o, arguments)
			}
			body := map[string]any{"fromImage": arguments[0], "useImageCommand": true}
			if user != "" {
				password, err := os.ReadFile(passwordFile)
				if err != nil {
					return fmt.Errorf("--password-file: %w", err)
				}
				body["fromImageRegistry"] = map[string]string{"type": "registry", "username": user, "password": strings.TrimSpace(string(password))}
			}
			if o.name == "" {
				o.name = nameOfImage(arguments[0])
			}
			return c.request(ctx, a, *o, body, func(requested) error { return nil })
		}),
	}
	flags := command.Flags()
	flags.StringVarP(&o.name, "name", "n", "", "the template's name (default the image's last part)")
	flags.StringArrayVarP(&o.tags, "tag", "t", nil, "a tag of the build; may be repeated")
	flags.BoolVar(&stock, "stock", false, "build stock templates, all or those that are named")
	flags.StringVar(&user, "user", "", "user of the registry")
	flags.StringVar(&passwordFile, "password-file", "/dev/stdin", "file with the user's password")
	addCommonFlags(command, o)
	return command
}

// stockList names the stock templates for people.
func stockList() string {
	var list strings.Builder
	for _, one := range templates.All {
		fmt.Fprintf(&list, "  %-20s %s\n", one.Name, one.Summary)
	}
	return strings.TrimRight(list.String(), "\n")
}

// notForStock are the flags that a stock template's definition decides.
var notForStock = []string{"name", "user", "password-file", "start", "ready", "init"}

// pullStock builds stock templates one after the other.
func (c *commands) pullStock(ctx context.Context, a *apiclient.API, flags *pflag.FlagSet, o options, names []string) error {
	for _, name := range notForStock {
		if flags.Changed(name) {
			return fmt.Errorf("--%s is not for --stock: the template's definition says it; copy the definition to change it", name)
		}
	}
	wanted, err := templates.Find(names)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find Wrenn's programs: %w", err)
	}
	for _, one := range wanted {
		if err := c.buildStock(ctx, a, flags, o, one, filepath.Dir(program)); err != nil {
			return err
		}
	}
	return nil
}

func (c *commands) buildStock(ctx context.Context, a *apiclient.API, flags *pflag.FlagSet, o options, of templates.Stock, programs string) error {
	directory, err := os.MkdirTemp("", "wrenn-"+of.Name+"-")
	if err != nil {
		return fmt.Errorf("build %s: %w", of.Name, err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	if err := of.Write(directory, programs); err != nil {
		return err
	}
	o.directory, o.name = directory, of.Name
	if !flags.Changed("cpus") {
		o.cpus = of.CPUs
	}
	if !flags.Changed("memory") {
		o.memoryMB = of.MemoryMiB
	}
	fmt.Fprintf(c.Errors, "building %s: %s\n", of.Name, of.Summary)
	return c.build(ctx, a, o)
}

// nameOfImage makes a template's name of an image's.
func nameOfImage(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	return strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

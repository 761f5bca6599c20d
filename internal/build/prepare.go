package build

import (
	"context"
	"errors"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/template"
)

// maxReportBytes is more than template.ParsePreparation takes.
const maxReportBytes = 128 << 10

// prepare makes a disk ready for sandboxes in its guest: a user, a shell, names. It returns
// the context of the first step.
func (a *attempt) prepare(ctx context.Context, report *report, in *machine.Machine, of fresh) (plan.Context, error) {
	command := envdclient.Command{Path: template.PrepareProgram, User: "root", Directory: "/"}
	if a.request.Init != "" {
		command.Arguments = []string{template.PrepareInit, a.request.Init}
	}
	var printed []byte
	exit, err := in.Execute(ctx, command, envdclient.Follower{Stdout: func(data []byte) {
		printed = append(printed, data[:min(len(data), maxReportBytes-len(printed))]...)
	}})
	if err != nil {
		return plan.Context{}, err
	}
	found, err := template.ParsePreparation(printed)
	if err == nil && (found.Failure != "" || !exit.Succeeded()) {
		err = errors.New(found.Failure)
	}
	if err != nil {
		return plan.Context{}, &Failure{Cause: CauseImageInvalid, cause: err, Message: fmt.Sprintf("The image could not be made ready for sandboxes: %s", buildlog.Clean(err.Error()))}
	}
	for _, note := range found.Notes {
		report.say(note)
	}
	begins := of.context
	begins.User, begins.Home = found.User.Name, found.User.Home
	if of.user != "" {
		user, err := in.Do(ctx, machine.Request{User: &machine.User{Name: of.user}}, nil, nil)
		if err != nil {
			return plan.Context{}, err
		}
		begins.User, begins.Home = user.Name, user.Home
	}
	if begins.Workdir == "" {
		begins.Workdir = begins.Home
	}
	return begins, nil
}

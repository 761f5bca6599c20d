package fleet

import (
	"context"
	"io"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
)

// BuildHost finds the agent of a host that builds templates.
func (f *Agents) BuildHost(hostID uuid.UUID) builds.Host {
	if builder, can := f.Agent(hostID).(builds.Host); can {
		return builder
	}
	return away{}
}

func (a away) StartBuild(context.Context, build.Start) error { return a.err() }

func (a away) WatchBuild(context.Context, string, int64, func(build.Update) error) error {
	return a.err()
}

func (a away) CancelBuild(context.Context, string) error { return a.err() }

func (a away) HasBuildFiles(context.Context, string, string) (bool, error) { return false, a.err() }

func (a away) PutBuildFiles(context.Context, string, string, int64, io.Reader) error { return a.err() }

func (a away) ReadBuildFiles(context.Context, string, string) (io.ReadCloser, int64, error) {
	return nil, 0, a.err()
}

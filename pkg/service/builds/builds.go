// Package builds has templates built: it stores what a team asks for, has a host do it,
// and stores the log and the result.
//
// A build is requested, which chooses its host; files are uploaded to the host; then it is
// started. From then on a job drives it: on any control plane, which claims the build
// until it has ended. The host goes on alone where the control plane ends, and the next
// one continues from the last entry of the log that is stored.
package builds

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// Host is the part of a host agent that builds.
type Host interface {
	StartBuild(ctx context.Context, start build.Start) error
	WatchBuild(ctx context.Context, buildID string, after int64, told func(build.Update) error) error
	CancelBuild(ctx context.Context, buildID string) error
	HasBuildFiles(ctx context.Context, teamID, hash string) (bool, error)
	PutBuildFiles(ctx context.Context, teamID, hash string, size int64, content io.Reader) error
	// ReadBuildFiles returns an upload and its size, and fault.NotFound where the host does
	// not have it.
	ReadBuildFiles(ctx context.Context, teamID, hash string) (content io.ReadCloser, size int64, err error)
	// DeleteSnapshot deletes a build. It succeeds where the host does not have it.
	DeleteSnapshot(ctx context.Context, buildID string) error
}

// Queue is the part of the job queue that builds need.
type Queue interface {
	InsertTx(ctx context.Context, tx pgx.Tx, job river.JobArgs, options *river.InsertOpts) (*rivertype.JobInsertResult, error)
}

// Claimant has the number by which this process claims builds.
type Claimant interface{ ID() int32 }

// Service is the service of builds.
type Service struct {
	pool      *pgxpool.Pool
	claimant  Claimant
	tokens    *auth.Tokens
	keyring   *seal.Keyring
	hosts     func(hostID uuid.UUID) Host
	placement *placement.Service
	queue     Queue
	guard     templates.Guard
	log       *slog.Logger

	// stopping is closed when this control plane gives its builds to others.
	stopping chan struct{}
	patience patience
}

// patience is how long a build waits; tests have less of it.
type patience struct {
	// hostAway is how long the host of a build may be unreachable.
	hostAway time.Duration
	// room is how long a build waits for room on its host.
	room time.Duration
	// retry is the delay after a failed call to a host.
	retry time.Duration
	// look is how often a driver looks whether its build is to be cancelled, and how its
	// host is.
	look time.Duration
}

// New makes the service. hosts finds the agents of hosts; where a host is unknown or cannot
// be reached, every method fails with fault.Unavailable. The guard may refuse builds.
func New(
	pool *pgxpool.Pool, claimant Claimant, tokens *auth.Tokens, keyring *seal.Keyring, hosts func(hostID uuid.UUID) Host,
	placer *placement.Service, queue Queue, guard templates.Guard, log *slog.Logger,
) *Service {
	return &Service{
		pool: pool, claimant: claimant, tokens: tokens, keyring: keyring, hosts: hosts, placement: placer, queue: queue, guard: guard, log: log,
		stopping: make(chan struct{}), patience: patience{
			hostAway: 2 * time.Minute, room: time.Hour, retry: time.Second, look: time.Second,
		},
	}
}

// Stop makes this control plane give its builds to others. The jobs end soon after.
func (s *Service) Stop() { close(s.stopping) }

func (s *Service) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// logger returns a logger for what is done with a build.
func (s *Service) logger(of Build) *slog.Logger {
	return s.log.With("build", of.ID, "template", of.TemplateID, "team", of.TeamID)
}

// Build is a build that a team has asked for.
type Build struct {
	templates.Build
	TeamID uuid.UUID
	// HostID is the host that does the work, and FilesHostID the one that has the uploads;
	// nil where that is no more.
	HostID      uuid.UUID
	FilesHostID *uuid.UUID
	// Tags are those that it gets when it is ready, without the default one.
	Tags []string
	// MadeDefault says that it gets the default tag.
	MadeDefault    bool
	MinFreeDiskMiB int32
	// Definition is empty before the start.
	Definition   build.Definition
	CancelWanted bool
	// Attempt counts how often a host was told to start it.
	Attempt int32
	// Failure has Cause, Step and Message of a build that has failed.
	Failure build.Failure

	startedAt   time.Time
	sealed      []byte
	logSequence int64
	logEntries  int64
	logBytes    int64
}

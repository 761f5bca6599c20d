// Package extension runs the extensions of a control plane (see pkg/cpextension), and
// contains their errors, panics and delays.
package extension

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/openapi"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// callsAtOnce bounds the calls of one extension that are in progress, so that calls that
// hang do not accumulate.
const callsAtOnce = 256

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

// Server is what a Set needs of the control plane.
type Server struct {
	// Context is given to each extension, with a logger of its own.
	Context cpextension.ServerContext
	// Admit returns a middleware that refuses requests that a rule does not accept.
	Admit func(rule auth.Rule) func(http.Handler) http.Handler
}

// Set is the extensions of one control plane, in the order of cpserver.WithExtensions.
type Set struct {
	instances []*instance
	server    Server
	stop      context.CancelFunc // cancels background work; nil before Begin
}

// instance is one extension of a Set.
type instance struct {
	extension cpextension.Extension
	name      string
	required  bool
	guarding  bool // its middlewares must not be bypassed
	log       *slog.Logger
	fail      func(w http.ResponseWriter, r *http.Request, err error)
	slots     chan struct{} // has an element for each call in progress
	started   bool          // Start has succeeded, so that Stop is due

	router     *chi.Mux
	pages      []Page
	operations []openapi.Added // its routes, for the API's document
	workers    []cpextension.Worker
	filter     events.Filter
	running    sync.WaitGroup // background work and the event subscriber

	mutex    sync.Mutex
	state    State
	failures int64
	last     *Failure
}

// New returns a Set that is not started. It returns an error for a name that is not valid
// or that two extensions have.
func New(log *slog.Logger, extensions ...cpextension.Extension) (*Set, error) {
	set := &Set{}
	for _, given := range extensions {
		i := &instance{extension: given, slots: make(chan struct{}, callsAtOnce), state: Starting}
		if err := i.identify(); err != nil {
			return nil, err
		}
		for _, other := range set.instances {
			if other.name == i.name {
				return nil, fmt.Errorf("two extensions have the name %s", i.name)
			}
		}
		i.log = log.With("extension", i.name)
		set.instances = append(set.instances, i)
	}
	return set, nil
}

func (i *instance) identify() error {
	return protect(func() error {
		i.name = i.extension.Name()
		if !namePattern.MatchString(i.name) {
			return fmt.Errorf("an extension has the name %q, which does not match %s", i.name, namePattern)
		}
		if required, says := i.extension.(cpextension.Required); says {
			i.required = required.Required()
		}
		if guarding, says := i.extension.(cpextension.Guarding); says {
			i.guarding = guarding.Guarding()
		}
		return nil
	})
}

func (i *instance) is(state State) bool {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.state == state
}

func (i *instance) become(state State) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.state = state
}

// note counts a failure for Status. The caller logs it.
func (i *instance) note(doing string, err error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.failures++
	i.last = &Failure{At: time.Now().UTC(), Doing: doing, Message: brief(err)}
}

// report counts and logs a failure.
func (i *instance) report(ctx context.Context, doing string, err error) {
	i.note(doing, err)
	i.log.ErrorContext(ctx, "an extension failed", "doing", doing, "error", err)
}

package fleet

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// Agents has a client for each host that this control plane can reach. The zero value
// has none.
type Agents struct {
	mutex  sync.RWMutex
	agents map[uuid.UUID]sandboxes.HostAgent
}

// Put makes a host's agent known, in place of what was known of it.
func (f *Agents) Put(hostID uuid.UUID, agent sandboxes.HostAgent) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.agents == nil {
		f.agents = map[uuid.UUID]sandboxes.HostAgent{}
	}
	f.agents[hostID] = agent
}

// Agent implements Hosts.
func (f *Agents) Agent(hostID uuid.UUID) sandboxes.HostAgent {
	f.mutex.RLock()
	defer f.mutex.RUnlock()
	if agent, known := f.agents[hostID]; known {
		return agent
	}
	return away{}
}

// SnapshotHost finds the agent of a host that has snapshots.
func (f *Agents) SnapshotHost(hostID uuid.UUID) templates.SnapshotHost { return f.Agent(hostID) }

// Samples are the hosts that can be asked what their sandboxes take.
func (f *Agents) Samples() map[uuid.UUID]usage.SampleSource {
	f.mutex.RLock()
	defer f.mutex.RUnlock()
	sources := make(map[uuid.UUID]usage.SampleSource, len(f.agents))
	for hostID, agent := range f.agents {
		if source, samples := agent.(usage.SampleSource); samples {
			sources[hostID] = source
		}
	}
	return sources
}

// Link is the way to a host; nil where it is not known.
func (f *Agents) Link(hostID uuid.UUID) *host.Link {
	f.mutex.RLock()
	defer f.mutex.RUnlock()
	link, _ := f.agents[hostID].(*host.Link)
	return link
}

// remove forgets a host and ends every connection to it.
func (f *Agents) remove(hostID uuid.UUID) {
	link := f.Link(hostID)
	f.mutex.Lock()
	delete(f.agents, hostID)
	f.mutex.Unlock()
	if link != nil {
		link.Close()
	}
}

// away is a host that cannot be reached.
type away struct{}

func (away) err() error { return host.Unreachable() }

func (a away) PrepareSize(context.Context, string, host.Size, func(string)) error {
	return host.Unreachable()
}

func (a away) CreateSandbox(context.Context, host.Creation) (host.Sandbox, error) {
	return host.Sandbox{}, a.err()
}

func (a away) PauseSandbox(context.Context, string, sandbox.Pause) (host.Sandbox, error) {
	return host.Sandbox{}, a.err()
}

func (a away) ResumeSandbox(context.Context, string, host.Resumption) (host.Sandbox, error) {
	return host.Sandbox{}, a.err()
}

func (a away) KillSandbox(context.Context, string) error { return a.err() }

func (a away) SnapshotSandbox(context.Context, string, string, bool) (host.Template, error) {
	return host.Template{}, a.err()
}

func (a away) DeleteSnapshot(context.Context, string) error { return a.err() }

func (a away) ForkSandbox(context.Context, string, []host.Fork) ([]host.ForkResult, error) {
	return nil, a.err()
}

func (a away) UpdateNetwork(context.Context, string, sandbox.Network, sandbox.Secrets) error {
	return a.err()
}

func (a away) SetSecrets(context.Context, string, sandbox.Secrets) error { return a.err() }

func (a away) GetSandbox(context.Context, string) (host.Sandbox, error) {
	return host.Sandbox{}, a.err()
}

func (a away) ListSandboxes(context.Context) ([]host.Sandbox, error) { return nil, a.err() }

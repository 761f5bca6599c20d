package audit

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Draft is the entry of a request under way. Handlers add to it; the server writes it
// when the request is answered.
type Draft struct {
	mutex     sync.Mutex
	principal auth.Principal
	entry     Entry
}

type draftKey struct{}

// WithDraft adds a draft to the context of a request.
func WithDraft(ctx context.Context) (context.Context, *Draft) {
	draft := &Draft{}
	return context.WithValue(ctx, draftKey{}, draft), draft
}

// change does nothing where the context has no draft.
func change(ctx context.Context, with func(*Draft)) {
	draft, ok := ctx.Value(draftKey{}).(*Draft)
	if !ok {
		return
	}
	draft.mutex.Lock()
	defer draft.mutex.Unlock()
	with(draft)
}

// SetPrincipal sets the principal of the request.
func SetPrincipal(ctx context.Context, principal auth.Principal) {
	change(ctx, func(d *Draft) { d.principal = principal })
}

// SetActor sets the actor where that is not the principal, such as a person who signs
// in.
func SetActor(ctx context.Context, actor Actor) {
	change(ctx, func(d *Draft) { d.entry.Actor = actor })
}

// SetTeam sets the team where that is not the principal's.
func SetTeam(ctx context.Context, teamID uuid.UUID) {
	change(ctx, func(d *Draft) { d.entry.TeamID = teamID })
}

// SetResource sets the ID of the resource where the path does not have it, such as that
// of a resource that the request made.
func SetResource(ctx context.Context, id string) {
	change(ctx, func(d *Draft) { d.entry.Resource.ID = id })
}

// SetDetails sets the details, which must contain no secret.
func SetDetails(ctx context.Context, details any) {
	encoded, err := json.Marshal(details)
	if err != nil {
		return // the entry is written without details
	}
	change(ctx, func(d *Draft) { d.entry.Details = encoded })
}

// Entry returns the draft with its principal filled in.
func (d *Draft) Entry() (Entry, auth.Principal) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	entry := d.entry
	if entry.Actor == (Actor{}) {
		entry.Actor = ActorOf(d.principal)
	}
	if entry.TeamID == uuid.Nil {
		entry.TeamID = d.principal.TeamID
	}
	return entry, d.principal
}

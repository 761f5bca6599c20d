package audit

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Draft is the entry of a request while it is being served. Handlers may add what
// only they know; it is written when the request has been answered.
type Draft struct {
	mutex     sync.Mutex
	principal auth.Principal
	entry     Entry
}

type draftKey struct{}

// WithDraft makes the draft of a request.
func WithDraft(ctx context.Context) (context.Context, *Draft) {
	draft := &Draft{}
	return context.WithValue(ctx, draftKey{}, draft), draft
}

// change does nothing where nobody keeps a draft.
func change(ctx context.Context, with func(*Draft)) {
	draft, ok := ctx.Value(draftKey{}).(*Draft)
	if !ok {
		return
	}
	draft.mutex.Lock()
	defer draft.mutex.Unlock()
	with(draft)
}

// SetPrincipal says who makes the request.
func SetPrincipal(ctx context.Context, principal auth.Principal) {
	change(ctx, func(d *Draft) { d.principal = principal })
}

// SetActor says who acts where that is not the request's principal, such as a
// person who signs in.
func SetActor(ctx context.Context, actor Actor) {
	change(ctx, func(d *Draft) { d.entry.Actor = actor })
}

// SetTeam says which team an action belongs to where the principal does not.
func SetTeam(ctx context.Context, teamID uuid.UUID) {
	change(ctx, func(d *Draft) { d.entry.TeamID = teamID })
}

// SetResource says what is acted on where the request's path does not, such as
// what it has made.
func SetResource(ctx context.Context, id string) {
	change(ctx, func(d *Draft) { d.entry.Resource.ID = id })
}

// SetDetails adds what else is worth knowing. It must hold no secret.
func SetDetails(ctx context.Context, details any) {
	encoded, err := json.Marshal(details)
	if err != nil {
		return // an entry without details is better than none
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

package events

import (
	"slices"

	"github.com/google/uuid"
)

// Filter selects events. The zero Filter selects all, of all teams.
type Filter struct {
	// TeamID selects the events of one team; nil selects those of all.
	TeamID *uuid.UUID
	// Types selects types, each whole or as "sandbox.*"; empty selects all.
	Types []string
	// HiddenKinds leaves out kinds, such as "secret", even if Types selects them.
	HiddenKinds []string
	// ResourceID selects the events of one resource; "" selects those of all.
	ResourceID string
}

// Matches says whether a filter selects an event.
func (f Filter) Matches(event Event) bool {
	if f.TeamID != nil && *f.TeamID != event.TeamID || f.ResourceID != "" && f.ResourceID != event.ResourceID {
		return false
	}
	kind := event.Type.Kind()
	if slices.Contains(f.HiddenKinds, kind) {
		return false
	}
	if len(f.Types) == 0 {
		return true
	}
	for _, name := range f.Types {
		if name == string(event.Type) || name == kind+".*" {
			return true
		}
	}
	return false
}

package sandbox

// EndCause is why a sandbox ends. It is set when the end begins and never changes.
type EndCause string

// The causes of an end.
const (
	CauseKilled      EndCause = "killed"        // its team, or an admin, asked for it
	CauseExpired     EndCause = "expired"       // its time was over
	CauseNotCreated  EndCause = "not_created"   // its creation failed, or its client left before it was told
	CauseEndedOnHost EndCause = "ended_on_host" // its host does not have it any more
	CauseHostRetired EndCause = "host_retired"  // its host was taken out of the fleet with it
)

// EndCauses returns all causes.
func EndCauses() []EndCause {
	return []EndCause{CauseKilled, CauseExpired, CauseNotCreated, CauseEndedOnHost, CauseHostRetired}
}

// endings has the event of a sandbox that is killed for a cause, and the cause in
// words, for people only.
var endings = map[EndCause]struct {
	event  Event
	reason string
}{
	CauseKilled:      {EventKilled, "killed by its team"},
	CauseExpired:     {EventExpired, "its time was over"},
	CauseNotCreated:  {EventFailed, "not created"},
	CauseEndedOnHost: {EventKilled, "ended on its host"},
	CauseHostRetired: {EventKilled, "its host was retired"},
}

func (c EndCause) known() bool { _, known := endings[c]; return known }

// Reason returns the cause in words, for people; empty for no cause.
func (c EndCause) Reason() string { return endings[c].reason }

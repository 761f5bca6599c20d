package egress

import "fmt"

// lowestRate is a packet of full size ten times a second.
const lowestRate = 15_000

// Limits bound what a sandbox may use of the network. Zero means no limit.
// Traffic between the host and the guest agent is not counted.
type Limits struct {
	UploadBytesPerSecond   uint64 `json:"uploadBytesPerSecond,omitempty"`
	DownloadBytesPerSecond uint64 `json:"downloadBytesPerSecond,omitempty"`
	// Connections bounds the flows that the guest has open at a time, DNS queries
	// included.
	Connections uint32 `json:"connections,omitempty"`
}

// Check returns a *SpecError for limits that are too low to be of use.
func (l Limits) Check() error {
	for _, rate := range []uint64{l.UploadBytesPerSecond, l.DownloadBytesPerSecond} {
		if rate > 0 && rate < lowestRate {
			return &SpecError{Field: "limits", Value: fmt.Sprint(rate), Err: ErrRateTooLow}
		}
	}
	return nil
}

// Within returns the policy with limits that are no higher than these.
func (p *Policy) Within(limits Limits) *Policy {
	with := *p
	with.limits = Limits{
		UploadBytesPerSecond:   tighter(p.limits.UploadBytesPerSecond, limits.UploadBytesPerSecond),
		DownloadBytesPerSecond: tighter(p.limits.DownloadBytesPerSecond, limits.DownloadBytesPerSecond),
		Connections:            tighter(p.limits.Connections, limits.Connections),
	}
	return &with
}

// tighter is the lower of two limits, of which zero is none.
func tighter[N uint32 | uint64](one, other N) N {
	if one == 0 || other == 0 {
		return max(one, other)
	}
	return min(one, other)
}

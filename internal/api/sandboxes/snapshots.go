package sandboxes

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// snapshotAnswer is a snapshot. SnapshotID is the template of a create; it is a name with
// a tag if the snapshot has a name.
type snapshotAnswer struct {
	SnapshotID string   `json:"snapshotID"`
	Names      []string `json:"names"`
}

func snapshotOf(snapshot templates.Snapshot) snapshotAnswer {
	return snapshotAnswer{SnapshotID: snapshot.Reference, Names: snapshot.Names}
}

func (h *Handlers) takeSnapshot(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name   string `json:"name"`
		Memory *bool  `json:"memory"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	taken, err := h.Sandboxes.Snapshot(r.Context(), request.Team(r), sandboxOf(r), templates.NewSnapshot{
		Name: body.Name, WithoutMemory: !request.OrDefault(body.Memory, true),
	})
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusCreated, snapshotOf(taken))
	return nil
}

func (h *Handlers) listSnapshots(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := request.PageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	page, err := h.Snapshots.ListSnapshots(r.Context(), request.Team(r), templates.SnapshotFilter{
		SandboxID: request.SandboxID(query.Get("sandboxID")), Name: query.Get("name"), PageSize: size, PageToken: query.Get("nextToken"),
	})
	if err != nil {
		return err
	}
	if page.NextToken != "" {
		w.Header().Set("X-Next-Token", page.NextToken)
	}
	answer := make([]snapshotAnswer, 0, len(page.Snapshots))
	for _, snapshot := range page.Snapshots {
		answer = append(answer, snapshotOf(snapshot))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

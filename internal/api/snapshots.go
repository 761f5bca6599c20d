package api

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// snapshotAnswer is a snapshot. Sandboxes are created from it by its ID, which is a
// name with a tag where it has one.
type snapshotAnswer struct {
	SnapshotID string   `json:"snapshotID"`
	Names      []string `json:"names"`
}

func snapshotOf(snapshot templates.Snapshot) snapshotAnswer {
	return snapshotAnswer{SnapshotID: snapshot.Reference, Names: snapshot.Names}
}

func (s *Server) takeSnapshot(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name   string `json:"name"`
		Memory *bool  `json:"memory"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	taken, err := s.Sandboxes.Snapshot(r.Context(), teamOf(r), sandboxOf(r), templates.NewSnapshot{
		Name: body.Name, WithoutMemory: !orDefault(body.Memory, true),
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, snapshotOf(taken))
	return nil
}

func (s *Server) listSnapshots(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := pageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	page, err := s.Templates.ListSnapshots(r.Context(), teamOf(r), templates.SnapshotFilter{
		SandboxID: plainSandboxID(query.Get("sandboxID")), Name: query.Get("name"), PageSize: size, PageToken: query.Get("nextToken"),
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
	writeJSON(w, http.StatusOK, answer)
	return nil
}

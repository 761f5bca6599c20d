package api

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

// Volumes is the service behind the routes of volumes.
type Volumes interface {
	List(ctx context.Context, teamID uuid.UUID) ([]rows.Volume, error)
	Get(ctx context.Context, teamID uuid.UUID, volumeID string) (rows.Volume, error)
	Create(ctx context.Context, teamID uuid.UUID, wanted volumes.NewVolume) (rows.Volume, error)
	Delete(ctx context.Context, teamID uuid.UUID, volumeID string) error
	Token(ctx context.Context, volume rows.Volume) (string, error)
}

func (s *Server) routeVolumes(router chi.Router) {
	router.Get("/volumes", s.handle(s.listVolumes))
	router.Post("/volumes", s.handle(s.createVolume))
	router.Get("/volumes/{volumeID}", s.handle(s.getVolume))
	router.Delete("/volumes/{volumeID}", s.handle(s.deleteVolume))
}

// volumeAnswer is a volume in a list.
type volumeAnswer struct {
	VolumeID string `json:"volumeID"`
	Name     string `json:"name"`
	// MaxSizeMiB is ours: how much it may hold, null for no limit.
	MaxSizeMiB *int64 `json:"maxSizeMiB"`
}

func volumeAnswerOf(volume rows.Volume) volumeAnswer {
	answer := volumeAnswer{VolumeID: volume.ID, Name: volume.Name}
	if volume.MaxMiB > 0 {
		answer.MaxSizeMiB = &volume.MaxMiB
	}
	return answer
}

// openVolume is a volume with what opens its content.
type openVolume struct {
	volumeAnswer
	Token  string `json:"token"`
	Domain string `json:"domain"`
}

func (s *Server) answerVolume(w http.ResponseWriter, r *http.Request, status int, volume rows.Volume) error {
	token, err := s.Volumes.Token(r.Context(), volume)
	if err != nil {
		return err
	}
	writeJSON(w, status, openVolume{volumeAnswer: volumeAnswerOf(volume), Token: token, Domain: s.Domain})
	return nil
}

func (s *Server) listVolumes(w http.ResponseWriter, r *http.Request) error {
	volumes, err := s.Volumes.List(r.Context(), teamOf(r))
	if err != nil {
		return err
	}
	answer := make([]volumeAnswer, 0, len(volumes))
	for _, volume := range volumes {
		answer = append(answer, volumeAnswerOf(volume))
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) createVolume(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name       string `json:"name"`
		MaxSizeMiB *int64 `json:"maxSizeMiB"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	volume, err := s.Volumes.Create(r.Context(), teamOf(r), volumes.NewVolume{Name: body.Name, MaxMiB: body.MaxSizeMiB})
	if err != nil {
		return err
	}
	audit.SetResource(r.Context(), volume.ID)
	return s.answerVolume(w, r, http.StatusCreated, volume)
}

func (s *Server) getVolume(w http.ResponseWriter, r *http.Request) error {
	volume, err := s.Volumes.Get(r.Context(), teamOf(r), chi.URLParam(r, "volumeID"))
	if err != nil {
		return err
	}
	return s.answerVolume(w, r, http.StatusOK, volume)
}

func (s *Server) deleteVolume(w http.ResponseWriter, r *http.Request) error {
	return noContent(w, s.Volumes.Delete(r.Context(), teamOf(r), chi.URLParam(r, "volumeID")))
}

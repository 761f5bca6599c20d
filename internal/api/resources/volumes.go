package resources

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

// Volumes is the service of volumes.
type Volumes interface {
	List(ctx context.Context, teamID uuid.UUID) ([]volumes.Volume, error)
	Get(ctx context.Context, teamID uuid.UUID, volumeID string) (volumes.Volume, error)
	Create(ctx context.Context, teamID uuid.UUID, wanted volumes.NewVolume) (volumes.Volume, error)
	Delete(ctx context.Context, teamID uuid.UUID, volumeID string) error
	Token(ctx context.Context, volume volumes.Volume) (string, error)
}

func (h *Handlers) routeVolumes(router respond.Router) {
	router.Get("/volumes", h.listVolumes)
	router.Post("/volumes", h.createVolume)
	router.Get("/volumes/{volumeID}", h.getVolume)
	router.Delete("/volumes/{volumeID}", h.deleteVolume)
}

// volumeAnswer is a volume in a list.
type volumeAnswer struct {
	VolumeID string `json:"volumeID"`
	Name     string `json:"name"`
	// MaxSizeMiB is null for a volume without limit. E2B has no such field.
	MaxSizeMiB *int64 `json:"maxSizeMiB"`
}

func volumeAnswerOf(volume volumes.Volume) volumeAnswer {
	answer := volumeAnswer{VolumeID: volume.ID, Name: volume.Name}
	if volume.MaxMiB > 0 {
		answer.MaxSizeMiB = &volume.MaxMiB
	}
	return answer
}

// openVolume is a volume with the token of its content.
type openVolume struct {
	volumeAnswer
	Token  string `json:"token"`
	Domain string `json:"domain"`
}

func (h *Handlers) answerVolume(w http.ResponseWriter, r *http.Request, status int, volume volumes.Volume) error {
	token, err := h.Volumes.Token(r.Context(), volume)
	if err != nil {
		return err
	}
	respond.JSON(w, status, openVolume{volumeAnswer: volumeAnswerOf(volume), Token: token, Domain: h.Domain})
	return nil
}

func (h *Handlers) listVolumes(w http.ResponseWriter, r *http.Request) error {
	found, err := h.Volumes.List(r.Context(), request.Team(r))
	if err != nil {
		return err
	}
	answer := make([]volumeAnswer, 0, len(found))
	for _, volume := range found {
		answer = append(answer, volumeAnswerOf(volume))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) createVolume(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name       string `json:"name"`
		MaxSizeMiB *int64 `json:"maxSizeMiB"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	volume, err := h.Volumes.Create(r.Context(), request.Team(r), volumes.NewVolume{Name: body.Name, MaxMiB: body.MaxSizeMiB})
	if err != nil {
		return err
	}
	audit.SetResource(r.Context(), volume.ID)
	return h.answerVolume(w, r, http.StatusCreated, volume)
}

func (h *Handlers) getVolume(w http.ResponseWriter, r *http.Request) error {
	volume, err := h.Volumes.Get(r.Context(), request.Team(r), chi.URLParam(r, "volumeID"))
	if err != nil {
		return err
	}
	return h.answerVolume(w, r, http.StatusOK, volume)
}

func (h *Handlers) deleteVolume(w http.ResponseWriter, r *http.Request) error {
	return respond.NoContent(w, h.Volumes.Delete(r.Context(), request.Team(r), chi.URLParam(r, "volumeID")))
}

package hosts

import (
	"cmp"
	"net/http"
	"slices"

	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
)

type secretKeyAnswer struct {
	KeyID       string `json:"keyID"`
	Newest      bool   `json:"newest"`
	Known       bool   `json:"known"`
	SealedCount int64  `json:"sealedCount"`
}

// listSecretKeys lists the keys, the newest first.
func (h *Handlers) listSecretKeys(w http.ResponseWriter, r *http.Request) error {
	keys, err := h.Keys.List(r.Context())
	if err != nil {
		return err
	}
	answer := make([]secretKeyAnswer, 0, len(keys))
	for _, key := range keys {
		answer = append(answer, secretKeyAnswer{KeyID: key.ID.String(), Newest: key.Newest, Known: key.Known, SealedCount: key.Sealed})
	}
	slices.SortFunc(answer, func(a, b secretKeyAnswer) int {
		if a.Newest != b.Newest {
			if a.Newest {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.KeyID, b.KeyID)
	})
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

package sandboxes

import (
	"context"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// forkAnswer is a fork, or the reason why it was not made.
type forkAnswer struct {
	Sandbox *sandboxAnswer   `json:"sandbox,omitempty"`
	Error   *respond.Refusal `json:"error,omitempty"`
}

func (h *Handlers) forkSandbox(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Timeout *int32 `json:"timeout"`
		Count   *int32 `json:"count"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	timeout := request.OrDefault(body.Timeout, defaultTimeoutV1)
	results, err := h.Sandboxes.Fork(r.Context(), request.Team(r), sandboxOf(r), request.OrDefault(body.Count, 1), timeout)
	if err != nil {
		return err
	}
	answers := make([]forkAnswer, 0, len(results))
	for _, result := range results {
		answers = append(answers, h.forkOf(r.Context(), result))
	}
	respond.JSON(w, http.StatusCreated, answers)
	return nil
}

func (h *Handlers) forkOf(ctx context.Context, result sandboxes.ForkResult) forkAnswer {
	err := result.Err
	if err == nil {
		var answer sandboxAnswer
		if answer, err = h.answerOf(ctx, result.Sandbox); err == nil {
			return forkAnswer{Sandbox: &answer}
		}
	}
	refusal := respond.RefusalOf(ctx, err)
	return forkAnswer{Error: &refusal}
}

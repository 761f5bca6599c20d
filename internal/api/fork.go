package api

import (
	"context"
	"errors"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// forkAnswer is one fork or why there is none.
type forkAnswer struct {
	Sandbox *sandboxAnswer `json:"sandbox,omitempty"`
	Error   *refusal       `json:"error,omitempty"`
}

func (s *Server) forkSandbox(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Timeout *int32 `json:"timeout"`
		Count   *int32 `json:"count"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	timeout := orDefault(body.Timeout, defaultTimeoutV1)
	results, err := s.Sandboxes.Fork(r.Context(), teamOf(r), sandboxOf(r), orDefault(body.Count, 1), timeout)
	if err != nil {
		return err
	}
	answers := make([]forkAnswer, 0, len(results))
	for _, result := range results {
		answers = append(answers, s.forkOf(r.Context(), result))
	}
	writeJSON(w, http.StatusCreated, answers)
	return nil
}

func (s *Server) forkOf(ctx context.Context, result sandboxes.ForkResult) forkAnswer {
	err := result.Err
	if err == nil {
		var answer sandboxAnswer
		if answer, err = s.answerOf(ctx, result.Sandbox); err == nil {
			return forkAnswer{Sandbox: &answer}
		}
	}
	shown := fault.New(fault.Internal, "internal error")
	_ = errors.As(err, &shown)
	status := statuses[shown.Code]
	return forkAnswer{Error: &refusal{status, shown.Message, adviceFor(status, shown.Reason).errorCode}}
}

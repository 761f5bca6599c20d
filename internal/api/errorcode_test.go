package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestFail_TellsProgramsWhatWentWrongAndWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	fault409, fault503 := fault.New(fault.Conflict, "no"), fault.New(fault.Unavailable, "no")
	for name, test := range map[string]struct {
		err               error
		code, retry, wait string
		status            int
	}{
		"full":          {fault.New(fault.Exhausted, "no").Because(fault.NoCapacity), "sandbox_capacity_unavailable", "true", "1", 503},
		"no host":       {fault.New(fault.Unavailable, "no").Because(fault.NoCompatibleHost), "sandbox_no_compatible_node", "true", "1", 503},
		"wrong host":    {fault.New(fault.Conflict, "no").Because(fault.NoCompatibleHost), "sandbox_no_compatible_node", "false", "", 409},
		"less isolated": {fault.New(fault.Forbidden, "no").Because(fault.IsolationDenied), "sandbox_isolation_denied", "false", "", 403},
		"slow host":     {fault.New(fault.Timeout, "no").Because(fault.PlacementTimeout), "sandbox_placement_timeout", "true", "1", 504},
		"failed":        {fault.New(fault.Internal, "no").Because(fault.CreateFailed), "sandbox_create_failed", "true", "1", 500},
		"refused":       {fault.New(fault.Internal, "no").Because(fault.CreateRefused), "sandbox_create_refused", "false", "", 500},
		"dead agent":    {fault.New(fault.Conflict, "no").Because(fault.GuestUnresponsiveAtPause), "sandbox_snapshot_guest_agent_unresponsive", "false", "", 409},
		"secrets":       {fault.New(fault.RateLimited, "no").Because(fault.SecretLimit), "secret_limit_reached", "false", "", 429},
		"team":          {fault.New(fault.RateLimited, "no").Because(fault.TeamLimit), "team_limit_reached", "false", "", 429},
		"other body":    {fault.New(fault.Conflict, "no").Because(fault.IdempotencyMismatch), "idempotency_request_mismatch", "false", "", 409},
		"under way":     {fault.New(fault.Conflict, "no").Because(fault.IdempotencyInProgress), "idempotency_in_progress", "true", "1", 409},
		"outcome lost":  {fault.New(fault.Conflict, "no").Because(fault.IdempotencyUnknown), "idempotency_outcome_unknown", "false", "", 409},
		"busy":          {fault.New(fault.Conflict, "no").Because(fault.Busy), "sandbox_busy", "true", "1", 409},
		"too often":     {fault.TooSoon(1500*time.Millisecond, "no"), "", "true", "2", 429},
		"conflict":      {fault409, "", "false", "", 409},
		"away":          {fault503, "", "true", "1", 503},
		"missing":       {fault.New(fault.NotFound, "no"), "", "false", "", 404},
		"not possible":  {fault.New(fault.Unsupported, "no"), "", "false", "", 501},
		"ours":          {errors.New("no"), "internal_server_error", "", "", 500},
		"wrapped by us": {errors.Join(errors.New("log"), fault503), "", "true", "1", 503},
	} {
		var log strings.Builder
		got := send(newServer(func(context.Context) error { return test.err }, &log).Handler(), http.MethodDelete, "/sandboxes/x")
		require.Equal(t, test.status, got.Code, name)
		var refusal struct {
			ErrorCode string `json:"error_code"`
		}
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &refusal))
		require.Equal(t, test.code, refusal.ErrorCode, name)
		require.Equal(t, test.retry, got.Header().Get("Should-Retry"), name)
		require.Equal(t, test.wait, got.Header().Get("Retry-After"), name)
	}
}

package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	recoveryCodes     = 10
	recoveryCodeBytes = 10 // 80 bits: a leaked hash is of no use
	longestCode       = 64
)

// Enrolment is what an authenticator app needs.
type Enrolment struct {
	Secret string // base32
	URL    string // otpauth:
}

var errWrongCode = fault.New(fault.Unauthenticated, "code: it is wrong, was used before or is too old")

// EnrolTOTP makes a secret for a second factor. It counts when a first code has
// confirmed it.
func (s *Service) EnrolTOTP(ctx context.Context, by auth.Principal) (Enrolment, error) {
	secret := newTOTPSecret()
	sealed, err := s.Sealer.Seal(secret, totpPurpose+by.UserID.String())
	if err != nil {
		return Enrolment{}, fmt.Errorf("seal second factor: %w", err)
	}
	var email string
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		user, err := lockCurrent(ctx, queries, by)
		if err != nil {
			return err
		}
		if user.TOTPConfirmedAt != nil {
			return fault.New(fault.Conflict, "there is a second factor already; remove it first")
		}
		email = user.Email
		return queries.SetTOTPSecret(ctx, rows.SetTOTPSecretParams{ID: by.UserID, TOTPSecret: sealed})
	})
	if err != nil {
		return Enrolment{}, err
	}
	return Enrolment{Secret: base32Text.EncodeToString(secret), URL: totpURL(secret, email)}, nil
}

// ConfirmTOTP turns the second factor on and answers the recovery codes, which
// nobody sees again.
func (s *Service) ConfirmTOTP(ctx context.Context, by auth.Principal, code string, from Client) (codes []string, err error) {
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		user, err := lockCurrent(ctx, queries, by)
		if err != nil {
			return err
		}
		if user.TOTPConfirmedAt != nil || user.TOTPSecret == nil {
			return fault.New(fault.Conflict, "there is no second factor that waits to be confirmed")
		}
		if err := s.codes.Take(by.UserID.String(), from.Address); err != nil {
			return err
		}
		step, err := s.matchSealed(user, code)
		if err != nil {
			return err
		}
		if err := queries.ConfirmTOTP(ctx, rows.ConfirmTOTPParams{ID: by.UserID, TOTPLastStep: step}); err != nil {
			return fmt.Errorf("confirm second factor: %w", err)
		}
		codes, err = replaceRecoveryCodes(ctx, queries, by.UserID)
		return err
	})
	return codes, err
}

// NewRecoveryCodes replaces the recovery codes.
func (s *Service) NewRecoveryCodes(ctx context.Context, by auth.Principal, code string, from Client) (codes []string, err error) {
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		if _, err := lockCurrent(ctx, queries, by); err != nil {
			return err
		}
		if _, err := s.checkCode(ctx, queries, by.UserID, code, from); err != nil {
			return err
		}
		codes, err = replaceRecoveryCodes(ctx, queries, by.UserID)
		return err
	})
	return codes, err
}

// RemoveTOTP turns the second factor off.
func (s *Service) RemoveTOTP(ctx context.Context, by auth.Principal, code string, from Client) error {
	return s.inTransaction(ctx, func(queries *rows.Queries) error {
		if _, err := lockCurrent(ctx, queries, by); err != nil {
			return err
		}
		if _, err := s.checkCode(ctx, queries, by.UserID, code, from); err != nil {
			return err
		}
		return errors.Join(queries.ClearTOTP(ctx, by.UserID), queries.ClearRecoveryCodes(ctx, by.UserID))
	})
}

// checkCode takes a code of the second factor or a recovery code; each works once.
func (s *Service) checkCode(ctx context.Context, queries *rows.Queries, userID uuid.UUID, code string, from Client) (rows.User, error) {
	if err := s.codes.Take(userID.String(), from.Address); err != nil {
		return rows.User{}, err
	}
	user, err := lockUser(ctx, queries, userID)
	if err != nil {
		return rows.User{}, err
	}
	if user.TOTPConfirmedAt == nil || user.DisabledAt != nil {
		return rows.User{}, fault.New(fault.Conflict, "there is no second factor")
	}
	if err := s.useCode(ctx, queries, user, code); err != nil {
		return rows.User{}, err
	}
	s.codes.Succeeded(userID.String(), from.Address)
	return user, nil
}

func (s *Service) useCode(ctx context.Context, queries *rows.Queries, user rows.User, code string) error {
	step, err := s.matchSealed(user, code)
	var used int64
	switch {
	case err == nil:
		used, err = queries.UseTOTPStep(ctx, rows.UseTOTPStepParams{ID: user.ID, TOTPLastStep: step})
	case errors.Is(err, errWrongCode):
		used, err = queries.UseRecoveryCode(ctx, rows.UseRecoveryCodeParams{UserID: user.ID, CodeHash: hashRecoveryCode(code)})
	}
	if err != nil {
		return fmt.Errorf("use a code: %w", err)
	}
	if used == 0 {
		return errWrongCode
	}
	return nil
}

func (s *Service) matchSealed(user rows.User, code string) (int64, error) {
	secret, err := s.Sealer.Open(user.TOTPSecret, totpPurpose+user.ID.String())
	if err != nil {
		return 0, fmt.Errorf("open second factor: %w", err)
	}
	step, ok := matchTOTP(secret, strings.TrimSpace(code), time.Now())
	if !ok {
		return 0, errWrongCode
	}
	return step, nil
}

func replaceRecoveryCodes(ctx context.Context, queries *rows.Queries, userID uuid.UUID) ([]string, error) {
	if err := queries.ClearRecoveryCodes(ctx, userID); err != nil {
		return nil, fmt.Errorf("clear recovery codes: %w", err)
	}
	codes := make([]string, 0, recoveryCodes)
	for range recoveryCodes {
		code := newRecoveryCode()
		codes = append(codes, code)
		if err := queries.AddRecoveryCode(ctx, rows.AddRecoveryCodeParams{UserID: userID, CodeHash: hashRecoveryCode(code)}); err != nil {
			return nil, fmt.Errorf("store recovery code: %w", err)
		}
	}
	return codes, nil
}

// newRecoveryCode is four groups of four characters.
func newRecoveryCode() string {
	secret := make([]byte, recoveryCodeBytes)
	_, _ = rand.Read(secret) // never fails
	text := strings.ToLower(base32Text.EncodeToString(secret))
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// hashRecoveryCode forgives how a person writes a code down.
func hashRecoveryCode(code string) []byte {
	code = code[:min(len(code), longestCode)]
	return auth.HashKey(strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code)))
}

func lockUser(ctx context.Context, queries *rows.Queries, userID uuid.UUID) (rows.User, error) {
	user, err := queries.LockUser(ctx, userID)
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.User{}, fault.New(fault.NotFound, "there is no such user")
	}
	if err != nil {
		return rows.User{}, fmt.Errorf("find user: %w", err)
	}
	return user, nil
}

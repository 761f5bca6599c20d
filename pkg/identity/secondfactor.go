package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	recoveryCodes     = 10
	recoveryCodeBytes = 10 // 80 bits: too many to find the code of a hash
	longestCode       = 64
)

// Enrolment is what an authenticator app needs.
type Enrolment struct {
	Secret string // base32
	URL    string // otpauth:
}

// EnrolTOTP makes the secret of a second factor, which ConfirmTOTP turns on.
func (s *Service) EnrolTOTP(ctx context.Context, by auth.Principal) (Enrolment, error) {
	secret := newTOTPSecret()
	sealed, err := s.sealer.Seal(secret, totpPurpose+by.UserID.String())
	if err != nil {
		return Enrolment{}, fmt.Errorf("seal second factor: %w", err)
	}
	var email string
	err = s.inTransaction(ctx, func(tx *changes) error {
		user, err := tx.lockCurrent(ctx, by)
		if err != nil {
			return err
		}
		if user.HasSecondFactor {
			return fault.New(fault.Conflict, "there is a second factor already; remove it first")
		}
		email = user.Email
		return tx.setTOTPSecret(ctx, by.UserID, sealed)
	})
	if err != nil {
		return Enrolment{}, err
	}
	return totpKey(secret, email)
}

// ConfirmTOTP turns the second factor on by a first code. The recovery codes are
// returned here only.
func (s *Service) ConfirmTOTP(ctx context.Context, by auth.Principal, code string, from Client) (codes []string, err error) {
	err = s.inTransaction(ctx, func(tx *changes) error {
		user, err := tx.lockCurrent(ctx, by)
		if err != nil {
			return err
		}
		if user.HasSecondFactor || user.totpSecret == nil {
			return fault.New(fault.Conflict, "there is no second factor that waits to be confirmed")
		}
		if err := s.codes.Take(by.UserID.String(), from.Address); err != nil {
			return err
		}
		step, err := s.matchCode(user, code)
		if err != nil {
			return err
		}
		if err := tx.confirmTOTP(ctx, by.UserID, step); err != nil {
			return err
		}
		codes, err = tx.newRecoveryCodes(ctx, by.UserID)
		return err
	})
	return codes, err
}

// NewRecoveryCodes replaces the recovery codes.
func (s *Service) NewRecoveryCodes(ctx context.Context, by auth.Principal, code string, from Client) (codes []string, err error) {
	err = s.inTransaction(ctx, func(tx *changes) error {
		if _, err := tx.lockCurrent(ctx, by); err != nil {
			return err
		}
		if _, err := s.checkCode(ctx, tx, by.UserID, code, from); err != nil {
			return err
		}
		codes, err = tx.newRecoveryCodes(ctx, by.UserID)
		return err
	})
	return codes, err
}

// RemoveTOTP turns the second factor off.
func (s *Service) RemoveTOTP(ctx context.Context, by auth.Principal, code string, from Client) error {
	return s.inTransaction(ctx, func(tx *changes) error {
		if _, err := tx.lockCurrent(ctx, by); err != nil {
			return err
		}
		if _, err := s.checkCode(ctx, tx, by.UserID, code, from); err != nil {
			return err
		}
		return tx.clearTOTP(ctx, by.UserID)
	})
}

// checkCode uses up a code of the second factor, or a recovery code.
func (s *Service) checkCode(ctx context.Context, tx *changes, userID uuid.UUID, code string, from Client) (account, error) {
	if err := s.codes.Take(userID.String(), from.Address); err != nil {
		return account{}, err
	}
	user, err := tx.lockUser(ctx, userID)
	if err != nil {
		return account{}, err
	}
	if !user.HasSecondFactor || user.DisabledAt != nil {
		return account{}, fault.New(fault.Conflict, "there is no second factor")
	}
	if err := s.useCode(ctx, tx, user, code); err != nil {
		return account{}, err
	}
	s.codes.Succeeded(userID.String(), from.Address)
	return user, nil
}

func (s *Service) useCode(ctx context.Context, tx *changes, user account, code string) error {
	step, err := s.matchCode(user, code)
	switch {
	case err == nil:
		err = tx.useTOTPStep(ctx, user.ID, step)
	case errors.Is(err, errWrongCode):
		err = tx.useRecoveryCode(ctx, user.ID, hashRecoveryCode(code))
	}
	return orElse(err, errWrongCode)
}

// matchCode returns the time step of a code.
func (s *Service) matchCode(user account, code string) (step int64, err error) {
	secret, err := s.sealer.Open(user.totpSecret, totpPurpose+user.ID.String())
	if err != nil {
		return 0, fmt.Errorf("open second factor: %w", err)
	}
	step, ok := matchTOTP(secret, strings.TrimSpace(code), time.Now())
	if !ok {
		return 0, errWrongCode
	}
	return step, nil
}

// newRecoveryCodes replaces a user's recovery codes and returns them; their hashes are
// stored.
func (s *store) newRecoveryCodes(ctx context.Context, userID uuid.UUID) ([]string, error) {
	codes, hashes := make([]string, recoveryCodes), make([][]byte, recoveryCodes)
	for i := range codes {
		codes[i] = newRecoveryCode()
		hashes[i] = hashRecoveryCode(codes[i])
	}
	return codes, s.replaceRecoveryCodes(ctx, userID, hashes)
}

// newRecoveryCode returns four groups of four characters.
func newRecoveryCode() string {
	secret := make([]byte, recoveryCodeBytes)
	_, _ = rand.Read(secret) // never fails
	text := strings.ToLower(base32Text.EncodeToString(secret))
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// hashRecoveryCode ignores case, spaces and hyphens.
func hashRecoveryCode(code string) []byte {
	code = code[:min(len(code), longestCode)]
	return auth.HashKey(strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code)))
}

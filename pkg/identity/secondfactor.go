package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity/factors"
)

const (
	recoveryCodes = 10
)

// EnrolTOTP makes the secret of a second factor, which ConfirmTOTP turns on.
func (s *Service) EnrolTOTP(ctx context.Context, by auth.Principal) (factors.Enrolment, error) {
	secret := factors.NewSecret()
	sealed, err := s.sealer.Seal(secret, factors.SealPurpose(by.UserID))
	if err != nil {
		return factors.Enrolment{}, fmt.Errorf("seal second factor: %w", err)
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
		return factors.Enrolment{}, err
	}
	return factors.Enrol(secret, email)
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
		err = tx.useRecoveryCode(ctx, user.ID, factors.HashRecoveryCode(code))
	}
	return db.OrElse(err, errWrongCode)
}

// matchCode returns the time step of a code.
func (s *Service) matchCode(user account, code string) (step int64, err error) {
	secret, err := s.sealer.Open(user.totpSecret, factors.SealPurpose(user.ID))
	if err != nil {
		return 0, fmt.Errorf("open second factor: %w", err)
	}
	step, ok := factors.Match(secret, strings.TrimSpace(code), time.Now())
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
		codes[i] = factors.NewRecoveryCode()
		hashes[i] = factors.HashRecoveryCode(codes[i])
	}
	return codes, s.replaceRecoveryCodes(ctx, userID, hashes)
}

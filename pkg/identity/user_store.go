package identity

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// account is a user with what the user signs in with.
type account struct {
	User
	passwordHash string
	totpSecret   []byte // sealed
	local        bool   // the user of this machine, whose address is nobody's
}

func accountOf(row rows.User) account {
	return account{User: userOf(row), passwordHash: row.PasswordHash, totpSecret: row.TOTPSecret, local: row.Local}
}

func userOf(row rows.User) User {
	return User{
		ID: row.ID, Email: row.Email, Name: row.Name, PlatformAdmin: row.PlatformAdmin, HasPassword: row.PasswordHash != "",
		HasSecondFactor: row.TOTPConfirmedAt != nil, CreatedAt: row.CreatedAt.UTC(), DisabledAt: row.DisabledAt,
	}
}

// newAccount is a user to be stored.
type newAccount struct {
	email, name, passwordHash string
	platformAdmin, local      bool
}

// createUser returns ErrUserExists where the e-mail address is taken.
func (s *store) createUser(ctx context.Context, wanted newAccount) (account, error) {
	row, err := s.queries.CreateUser(ctx, rows.CreateUserParams{
		ID: uuid.New(), Email: wanted.email, Name: wanted.name, PasswordHash: wanted.passwordHash, PlatformAdmin: wanted.platformAdmin, Local: wanted.local,
	})
	if db.IsUniqueViolation(err) {
		return account{}, ErrUserExists
	}
	return accountOf(row), db.Wrap(err, "store user")
}

func (s *store) user(ctx context.Context, id uuid.UUID) (account, error) {
	row, err := s.queries.GetUser(ctx, id)
	return accountOf(row), db.Wrap(err, "find user")
}

// lockUser serialises changes of a user. It returns ErrNoUser where there is none.
func (s *store) lockUser(ctx context.Context, id uuid.UUID) (account, error) {
	row, err := s.queries.LockUser(ctx, id)
	return accountOf(row), db.OrElse(db.Wrap(err, "lock user"), ErrNoUser)
}

func (s *store) userByEmail(ctx context.Context, email string) (account, error) {
	row, err := s.queries.FindUserByEmail(ctx, email)
	return accountOf(row), db.Wrap(err, "find user by e-mail address")
}

func (s *store) userByIdentity(ctx context.Context, provider, subject string) (account, error) {
	row, err := s.queries.FindUserByIdentity(ctx, rows.FindUserByIdentityParams{Provider: provider, Subject: subject})
	return accountOf(row), db.Wrap(err, "find user by identity")
}

// addIdentity returns ErrIdentityTaken where the identity is tied to an account.
func (s *store) addIdentity(ctx context.Context, userID uuid.UUID, provider, subject string) error {
	count, err := s.queries.AddIdentity(ctx, rows.AddIdentityParams{Provider: provider, Subject: subject, UserID: userID})
	return db.OrElse(db.WrapCount(count, err, "store identity"), ErrIdentityTaken)
}

func (s *store) identities(ctx context.Context, userID uuid.UUID) ([]ExternalID, error) {
	found, err := s.queries.ListIdentities(ctx, userID)
	if err != nil {
		return nil, db.Wrap(err, "list identities")
	}
	listed := make([]ExternalID, 0, len(found))
	for _, row := range found {
		listed = append(listed, ExternalID(row))
	}
	return listed, nil
}

func (s *store) setPasswordHash(ctx context.Context, userID uuid.UUID, hash string) error {
	return db.Wrap(s.queries.SetPassword(ctx, rows.SetPasswordParams{ID: userID, PasswordHash: hash}), "store password")
}

// replacePasswordHash does nothing where the hash is no longer the old one.
func (s *store) replacePasswordHash(ctx context.Context, userID uuid.UUID, old, hash string) error {
	err := s.queries.RehashPassword(ctx, rows.RehashPasswordParams{ID: userID, NewHash: hash, OldHash: old})
	return db.Wrap(err, "replace the hash of a password")
}

func (s *store) setUserName(ctx context.Context, userID uuid.UUID, name string) error {
	return db.Wrap(s.queries.SetUserName(ctx, rows.SetUserNameParams{ID: userID, Name: name}), "rename user")
}

// setUserEmail returns ErrUserExists where the address is another user's.
func (s *store) setUserEmail(ctx context.Context, userID uuid.UUID, email string) error {
	err := s.queries.SetUserEmail(ctx, rows.SetUserEmailParams{ID: userID, Email: email})
	if db.IsUniqueViolation(err) {
		return ErrUserExists
	}
	return db.Wrap(err, "change e-mail address")
}

func (s *store) setDisabled(ctx context.Context, userID uuid.UUID, disabled bool) error {
	return db.Wrap(s.queries.SetUserDisabled(ctx, rows.SetUserDisabledParams{ID: userID, Disabled: disabled}), "disable user")
}

func (s *store) deleteUser(ctx context.Context, userID uuid.UUID) error {
	return db.Wrap(s.queries.DeleteUser(ctx, userID), "delete user")
}

func (s *store) setPlatformAdmin(ctx context.Context, userID uuid.UUID, admin bool) error {
	err := s.queries.SetPlatformAdmin(ctx, rows.SetPlatformAdminParams{ID: userID, PlatformAdmin: admin})
	return db.Wrap(err, "make user an admin or not")
}

func (s *store) platformAdminExists(ctx context.Context) (bool, error) {
	exists, err := s.queries.PlatformAdminExists(ctx)
	return exists, db.Wrap(err, "look for an admin")
}

// lockAdmins serialises changes of who is an admin of the installation.
func (s *store) lockAdmins(ctx context.Context) error {
	return db.Wrap(s.queries.LockFirstAdmin(ctx), "lock the admins")
}

// countAdmins counts those that are not disabled.
func (s *store) countAdmins(ctx context.Context) (int64, error) {
	count, err := s.queries.CountPlatformAdmins(ctx)
	return count, db.Wrap(err, "count admins")
}

// searchUsers returns a page, and how many users the filter selects in all.
func (s *store) searchUsers(ctx context.Context, filter UserFilter, after string, skip, limit int) ([]User, error) {
	found, err := s.queries.SearchUsers(ctx, rows.SearchUsersParams{
		After: after, Email: filter.Email, Provider: filter.Provider, Subject: filter.Subject, TeamID: optional(filter.TeamID),
		Disabled: filter.Disabled, Skip: int32(skip), PageSize: int32(limit),
	})
	if err != nil {
		return nil, db.Wrap(err, "list users")
	}
	users := make([]User, 0, len(found))
	for _, row := range found {
		users = append(users, userOf(row))
	}
	return users, nil
}

func (s *store) countUsers(ctx context.Context, filter UserFilter) (int64, error) {
	count, err := s.queries.CountUsers(ctx, rows.CountUsersParams{
		Email: filter.Email, Provider: filter.Provider, Subject: filter.Subject, TeamID: optional(filter.TeamID), Disabled: filter.Disabled,
	})
	return count, db.Wrap(err, "count users")
}

func (s *store) setTOTPSecret(ctx context.Context, userID uuid.UUID, sealed []byte) error {
	return db.Wrap(s.queries.SetTOTPSecret(ctx, rows.SetTOTPSecretParams{ID: userID, TOTPSecret: sealed}), "store second factor")
}

func (s *store) confirmTOTP(ctx context.Context, userID uuid.UUID, step int64) error {
	return db.Wrap(s.queries.ConfirmTOTP(ctx, rows.ConfirmTOTPParams{ID: userID, TOTPLastStep: step}), "confirm second factor")
}

// useTOTPStep returns db.ErrNoRow where a code of this or a later step was used.
func (s *store) useTOTPStep(ctx context.Context, userID uuid.UUID, step int64) error {
	count, err := s.queries.UseTOTPStep(ctx, rows.UseTOTPStepParams{ID: userID, TOTPLastStep: step})
	return db.WrapCount(count, err, "use a code")
}

func (s *store) clearTOTP(ctx context.Context, userID uuid.UUID) error {
	if err := s.queries.ClearTOTP(ctx, userID); err != nil {
		return db.Wrap(err, "remove second factor")
	}
	return db.Wrap(s.queries.ClearRecoveryCodes(ctx, userID), "remove recovery codes")
}

func (s *store) replaceRecoveryCodes(ctx context.Context, userID uuid.UUID, hashes [][]byte) error {
	if err := s.queries.ClearRecoveryCodes(ctx, userID); err != nil {
		return db.Wrap(err, "remove recovery codes")
	}
	for _, hash := range hashes {
		if err := s.queries.AddRecoveryCode(ctx, rows.AddRecoveryCodeParams{UserID: userID, CodeHash: hash}); err != nil {
			return db.Wrap(err, "store recovery code")
		}
	}
	return nil
}

// useRecoveryCode returns db.ErrNoRow for a code that is wrong or was used.
func (s *store) useRecoveryCode(ctx context.Context, userID uuid.UUID, hash []byte) error {
	count, err := s.queries.UseRecoveryCode(ctx, rows.UseRecoveryCodeParams{UserID: userID, CodeHash: hash})
	return db.WrapCount(count, err, "use a recovery code")
}

// localUser returns the user whom links of this machine sign in.
func (s *store) localUser(ctx context.Context) (account, error) {
	row, err := s.queries.FindLocalUser(ctx)
	return accountOf(row), db.Wrap(err, "find the user of this machine")
}

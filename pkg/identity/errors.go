package identity

import (
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// The errors that callers decide on. Each is a fault that can be shown.
var (
	ErrNoUser       = auth.ErrNoUser
	ErrNoTeam       = auth.ErrNoTeam
	ErrNoMember     = fault.New(fault.NotFound, "there is no such member")
	ErrNoInvitation = fault.New(fault.NotFound, "there is no such invitation")
	// ErrUserExists says that the e-mail address has an account.
	ErrUserExists = fault.New(fault.Conflict, "email: there is an account with this address already; sign in to it")
	// ErrIdentityTaken says that the identity at a provider is tied to an account.
	ErrIdentityTaken = fault.New(fault.Conflict, "the identity is tied to an account already")
	// ErrLastOwner and ErrLastAdmin say that a team would lose its last owner, or the
	// installation its last admin.
	ErrLastOwner = fault.New(fault.Conflict, "a team must keep an owner")
	ErrLastAdmin = fault.New(fault.Conflict, "the installation must keep an admin")
	// ErrNoRole says that a text names no role.
	ErrNoRole = fault.New(fault.Invalid, "role must be owner, admin, member or viewer")
	// ErrNoAccount says that a person who proved who they are has no account here and
	// gets none, or has one that is disabled.
	ErrNoAccount = fault.New(fault.Forbidden, "you have no account here; ask for an invitation")
	// ErrEmailNotVerified says that an identity that is tied to no account has no
	// e-mail address for which its provider vouches.
	ErrEmailNotVerified = fault.New(fault.Forbidden, "the sign-in service does not vouch for your e-mail address")
	// ErrOtherAttempt says that a callback does not belong to the attempt that the
	// browser began.
	ErrOtherAttempt = fault.New(fault.Unauthenticated, "state: this sign-in was not begun in this browser, or too long ago")
)

var (
	errAboveYou     = fault.New(fault.Forbidden, "only an owner may do this")
	errMayNotChange = fault.New(fault.Forbidden, "the permission %s is needed", auth.MemberWrite)
	// errWrongLogin is the same for an address without an account, so that it does not
	// tell which addresses have one.
	errWrongLogin = fault.New(fault.Unauthenticated, "the e-mail address or the password is wrong")
	// errWrongPassword is not fault.Unauthenticated: the session is valid.
	errWrongPassword = fault.New(fault.Forbidden, "currentPassword is wrong")
	errWrongCode     = fault.New(fault.Unauthenticated, "code: it is wrong, was used before or is too old")
	errNoChallenge   = fault.New(fault.Unauthenticated, "challenge: it is too long ago; sign in again")
	// errWrongLink is the same for a link that was used, has expired or never existed.
	errWrongLink = fault.New(fault.Invalid, "token: the link is not valid any more; ask for a new one")
)

// Package permissions looks up the users that callers act as, and gives files to them.
package permissions

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// Errors for users and groups that the guest does not have.
var (
	ErrUnknownUser  = errors.New("user does not exist")
	ErrUnknownGroup = fmt.Errorf("%w: its group does not", ErrUnknownUser)
)

const rootName = "root"

// User is a Unix user of the guest.
type User struct {
	Name   string
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary groups
	Home   string
}

// Credential are the credentials of a child process of this user.
func (u *User) Credential() *syscall.Credential {
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}

// Lookup finds a user by name, or by "user:group", which has that group in place of all of the
// user's own, as USER in a Dockerfile means it. A group may be a number. There is always root,
// also in an image without accounts.
func Lookup(name string) (*User, error) {
	name, group, hasGroup := strings.Cut(name, ":")
	found, err := lookUpUser(name)
	if err != nil || !hasGroup {
		return found, err
	}
	if found.GID, err = lookUpGroup(group); err != nil {
		return nil, err
	}
	found.Groups = []uint32{found.GID}
	return found, nil
}

func lookUpGroup(name string) (uint32, error) {
	if number, err := parseID(name); err == nil {
		return number, nil
	}
	found, err := user.LookupGroup(name)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) || errors.Is(err, fs.ErrNotExist) || strings.ContainsRune(name, 0) {
		return 0, fmt.Errorf("%q: %w", name, ErrUnknownGroup)
	}
	if err != nil {
		return 0, fmt.Errorf("look up group %q: %w", name, err)
	}
	return parseID(found.Gid)
}

func lookUpUser(name string) (*User, error) {
	found, err := user.Lookup(name)
	var unknown user.UnknownUserError
	isUnknown := errors.As(err, &unknown) || errors.Is(err, fs.ErrNotExist)
	if isUnknown && name == rootName {
		return &User{Name: rootName, Home: "/root"}, nil
	}
	if isUnknown || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("%q: %w", name, ErrUnknownUser)
	}
	if err != nil {
		return nil, fmt.Errorf("look up user %q: %w", name, err)
	}
	uid, err := parseID(found.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := parseID(found.Gid)
	if err != nil {
		return nil, err
	}
	result := &User{Name: found.Username, UID: uid, GID: gid, Home: found.HomeDir}
	groups, err := found.GroupIds()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look up groups of %q: %w", name, err)
	}
	for _, text := range groups {
		group, err := parseID(text)
		if err != nil {
			return nil, err
		}
		result.Groups = append(result.Groups, group)
	}
	return result, nil
}

func parseID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("malformed user or group ID %q", text)
	}
	return uint32(id), nil
}

// NameFromHeader returns the user that an RPC names by HTTP Basic authentication, with an
// empty password, or the user, a colon and the group; empty for none.
func NameFromHeader(header http.Header) (string, error) {
	value := header.Get("Authorization")
	scheme, encoded, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", nil
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", errors.New("malformed Basic authorization")
	}
	name, rest, found := strings.Cut(string(decoded), ":")
	if !found {
		return "", errors.New("malformed Basic authorization")
	}
	if group, hasGroup := strings.CutSuffix(rest, ":"); hasGroup && name != "" {
		return name + ":" + group, nil
	}
	return name, nil
}

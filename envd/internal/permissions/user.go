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

// ErrUnknownUser is returned for a user that the guest does not have.
var ErrUnknownUser = errors.New("user does not exist")

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

// Lookup finds a user by name. There is always root, also in an image without accounts.
func Lookup(name string) (*User, error) {
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
// empty password; empty for none.
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
	name, _, found := strings.Cut(string(decoded), ":")
	if !found {
		return "", errors.New("malformed Basic authorization")
	}
	return name, nil
}

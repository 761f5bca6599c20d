package prepare

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// userName is the user of commands whose callers name none.
const userName = "user"

// User IDs that may be given. Source: login.defs(5).
const (
	firstID = 1000
	lastID  = 60000
)

// adminGroups give their members rights by sudo, in the distributions that have them.
var adminGroups = []string{"sudo", "wheel"}

// maxAccountsBytes bounds each of the files of accounts.
const maxAccountsBytes = 8 << 20

// accounts is a file with an account a line: passwd, group, shadow or gshadow. Lines that
// are not touched stay as they are, byte for byte.
type accounts struct {
	file    editedFile
	lines   []string // with their line ends
	changed bool
}

func (i image) openAccounts(name string, mode os.FileMode) (*accounts, error) {
	file, err := openEdited(i.path("/etc/"+name), mode, maxAccountsBytes)
	if err != nil {
		return nil, err
	}
	return &accounts{file: file, lines: slices.Collect(strings.Lines(string(file.content)))}, nil
}

// fields returns the fields of the line of a name.
func (a *accounts) fields(name string) (fields []string, found bool) {
	at := a.index(name)
	if at < 0 {
		return nil, false
	}
	return strings.Split(strings.TrimRight(a.lines[at], "\r\n"), ":"), true
}

func (a *accounts) index(name string) int {
	return slices.IndexFunc(a.lines, func(line string) bool { return strings.HasPrefix(line, name+":") })
}

// add appends a line.
func (a *accounts) add(fields ...string) {
	if last := len(a.lines) - 1; last >= 0 && !strings.HasSuffix(a.lines[last], "\n") {
		a.lines[last] += "\n"
	}
	a.lines = append(a.lines, strings.Join(fields, ":")+"\n")
	a.changed = true
}

// ids are the numbers in use, which are the third field.
func (a *accounts) ids() map[uint32]bool {
	used := make(map[uint32]bool)
	for _, line := range a.lines {
		if id, ok := idIn(strings.Split(strings.TrimRight(line, "\r\n"), ":")); ok {
			used[id] = true
		}
	}
	return used
}

// idIn reads the third field, which in passwd and group is a number.
func idIn(fields []string) (id uint32, ok bool) {
	const idField = 2
	if len(fields) <= idField {
		return 0, false
	}
	number, err := strconv.ParseUint(fields[idField], 10, 32)
	return uint32(number), err == nil
}

// addMember adds a user to the list that is the fourth field of a group, if there is the
// group.
func (a *accounts) addMember(group, user string) {
	const memberField = 3
	fields, found := a.fields(group)
	if !found || len(fields) != memberField+1 {
		return
	}
	members := strings.FieldsFunc(fields[memberField], func(r rune) bool { return r == ',' })
	if slices.Contains(members, user) {
		return
	}
	fields[memberField] = strings.Join(append(members, user), ",")
	a.lines[a.index(group)] = strings.Join(fields, ":") + "\n"
	a.changed = true
}

func (a *accounts) save() error {
	if !a.changed {
		return nil
	}
	return a.file.replace([]byte(strings.Join(a.lines, "")))
}

// database is all files of accounts. Those for passwords are absent in some images.
type database struct {
	passwd, group, shadow, gshadow *accounts
}

func (i image) openDatabase() (database, error) {
	const readable, secret = 0o644, 0o600
	var d database
	var failures []error
	for _, f := range []struct {
		into **accounts
		name string
		mode os.FileMode
	}{{&d.passwd, "passwd", readable}, {&d.group, "group", readable}, {&d.shadow, "shadow", secret}, {&d.gshadow, "gshadow", secret}} {
		opened, err := i.openAccounts(f.name, f.mode)
		*f.into = opened
		failures = append(failures, err)
	}
	return d, errors.Join(failures...)
}

// save writes groups before the users that refer to them.
func (d database) save() error {
	for _, a := range []*accounts{d.group, d.gshadow, d.shadow, d.passwd} {
		if err := a.save(); err != nil {
			return err
		}
	}
	return nil
}

// provideUser finds the user or makes it, and makes it a member of the groups of
// administrators.
func (i image) provideUser() error {
	d, err := i.openDatabase()
	if err != nil {
		return err
	}
	if len(d.passwd.lines) == 0 {
		d.passwd.add("root", "x", "0", "0", "root", "/root", "/bin/sh")
		i.note("the image has no /etc/passwd: it has root and %s now", userName)
	}
	if _, found := d.group.fields("root"); !found && !d.group.ids()[0] {
		d.group.add("root", "x", "0", "")
	}
	user, found, err := d.findUser()
	if err != nil {
		return err
	}
	if !found {
		if user, err = d.addUser(); err != nil {
			return err
		}
		if user.UID != firstID {
			i.note("user ID %d is taken in the image: %s has %d", firstID, userName, user.UID)
		}
	}
	for _, group := range adminGroups {
		d.group.addMember(group, userName)
		d.gshadow.addMember(group, userName)
	}
	if err := d.save(); err != nil {
		return err
	}
	i.report.User = user
	return i.makeHome(user)
}

func (d database) findUser() (User, bool, error) {
	const passwdFields, homeField, groupField = 7, 5, 3
	fields, found := d.passwd.fields(userName)
	if !found {
		return User{}, false, nil
	}
	uid, isNumber := idIn(fields)
	if len(fields) != passwdFields || !isNumber {
		return User{}, false, fmt.Errorf("the line of %s in /etc/passwd is malformed", userName)
	}
	gid, err := strconv.ParseUint(fields[groupField], 10, 32)
	if err != nil {
		return User{}, false, fmt.Errorf("the line of %s in /etc/passwd is malformed", userName)
	}
	return User{Name: userName, UID: uid, GID: uint32(gid), Home: fields[homeField]}, true, nil
}

// addUser gives the user the first ID that neither a user nor a group has. A group of its
// name may exist.
func (d database) addUser() (User, error) {
	user := User{Name: userName, Home: "/home/" + userName, Made: true}
	users, groups := d.passwd.ids(), d.group.ids()
	own, hasGroup := d.group.fields(userName)
	if hasGroup {
		gid, ok := idIn(own)
		if !ok {
			return User{}, fmt.Errorf("the line of %s in /etc/group is malformed", userName)
		}
		user.GID = gid
	}
	for user.UID = firstID; users[user.UID] || !hasGroup && groups[user.UID]; user.UID++ {
		if user.UID == lastID {
			return User{}, fmt.Errorf("all user IDs from %d to %d are taken", firstID, lastID)
		}
	}
	if !hasGroup {
		user.GID = user.UID
		d.group.add(userName, "x", strconv.FormatUint(uint64(user.GID), 10), "")
		if len(d.gshadow.lines) > 0 {
			d.gshadow.add(userName, "!", "", "")
		}
	}
	if len(d.shadow.lines) == 0 {
		d.shadow.add("root", "*", "", "0", "99999", "7", "", "", "")
	}
	if _, found := d.shadow.fields(userName); !found {
		d.shadow.add(userName, "!", "", "0", "99999", "7", "", "", "") // no password opens it
	}
	d.passwd.add(userName, "x", strconv.FormatUint(uint64(user.UID), 10), strconv.FormatUint(uint64(user.GID), 10), "", user.Home, "/bin/bash")
	return user, nil
}

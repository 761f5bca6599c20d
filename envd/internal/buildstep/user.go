package buildstep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// User finds a user, or makes it.
type User struct {
	// Name is "user", "user:group" or numbers.
	Name      string `json:"name"`
	Sudo      bool   `json:"sudo,omitempty"`
	MustExist bool   `json:"mustExist,omitempty"`
}

// Files of users and groups. Source: passwd(5), group(5), shadow(5), sudoers(5). Tests have
// others.
var (
	passwdFile   = "/etc/passwd"
	groupFile    = "/etc/group"
	shadowFile   = "/etc/shadow"
	sudoersFiles = "/etc/sudoers.d"
	homes        = "/home"
)

// Numbers of users that are made. Source: login.defs(5).
const (
	firstID = 1000
	lastID  = 60000
)

// maxNameBytes is what useradd(8) takes.
const maxNameBytes = 32

// errNoAccount is returned for a user or a group that is not there.
var errNoAccount = errors.New("there is none of that name or number")

// account is a line of passwd.
type account struct {
	name, home string
	uid, gid   int
}

func (u User) do() (Result, error) {
	name, groupName, hasGroup := strings.Cut(u.Name, ":")
	found, err := findAccount(name)
	changed := false
	if errors.Is(err, errNoAccount) && !u.MustExist {
		found, err = makeAccount(name)
		changed = true
	}
	if err != nil {
		return Result{}, err
	}
	effective := found.name
	if hasGroup {
		group, made, err := u.findOrMakeGroup(groupName)
		if err != nil {
			return Result{}, err
		}
		changed, effective = changed || made, effective+":"+group
	}
	if u.Sudo {
		allowed, err := allowSudo(found.name)
		if err != nil {
			return Result{}, err
		}
		changed = changed || allowed
	}
	return Result{Changed: changed, Name: effective, Home: found.home}, nil
}

// findAccount finds a user by name or number.
func findAccount(name string) (account, error) {
	for _, fields := range readColons(passwdFile, 7) {
		uid, uidErr := strconv.Atoi(fields[2])
		gid, gidErr := strconv.Atoi(fields[3])
		if (fields[0] == name || fields[2] == name) && uidErr == nil && gidErr == nil && fields[0] != "" {
			return account{name: fields[0], uid: uid, gid: gid, home: orRoot(fields[5])}, nil
		}
	}
	return account{}, fmt.Errorf("user %q: %w", name, errNoAccount)
}

func orRoot(home string) string {
	if home == "" {
		return "/"
	}
	return home
}

// readColons are the lines of a file that have so many fields.
func readColons(path string, count int) [][]string {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil // an image may have no such file
	}
	var all [][]string
	for line := range strings.Lines(string(content)) {
		if fields := strings.Split(strings.TrimRight(line, "\n"), ":"); len(fields) >= count {
			all = append(all, fields)
		}
	}
	return all
}

// makeAccount makes a user with a group and a home directory of its own. A number becomes
// the user's number, and its name is made of it.
func makeAccount(name string) (account, error) {
	uid := freeID()
	if number, err := strconv.Atoi(name); err == nil {
		uid, name = number, "user"+name
	}
	if err := checkName(name); err != nil {
		return account{}, err
	}
	gid, err := ensureGroup(name, uid)
	if err != nil {
		return account{}, err
	}
	made := account{name: name, uid: uid, gid: gid, home: filepath.Join(homes, name)}
	if err := appendLine(passwdFile, 0o644, fmt.Sprintf("%s:x:%d:%d::%s:/bin/bash", made.name, made.uid, made.gid, made.home)); err != nil {
		return account{}, err
	}
	if _, err := os.Stat(shadowFile); err == nil {
		if err := appendLine(shadowFile, 0o640, name+":!:::::::"); err != nil {
			return account{}, err
		}
	}
	return made, makeDirectories(made.home, owner{made.uid, made.gid})
}

func checkName(name string) error {
	valid := name != "" && len(name) <= maxNameBytes && !strings.ContainsAny(name, ":/ \t\n,") && name[0] != '-' && name[0] != '.'
	if !valid {
		return fmt.Errorf("%q cannot be the name of a user or group", name)
	}
	return nil
}

// freeID is a number that is neither a user's nor a group's.
func freeID() int {
	var taken []string
	for _, fields := range append(readColons(passwdFile, 3), readColons(groupFile, 3)...) {
		taken = append(taken, fields[2])
	}
	for id := firstID; id < lastID; id++ {
		if !slices.Contains(taken, strconv.Itoa(id)) {
			return id
		}
	}
	return lastID
}

// ensureGroup finds a group by name or number, or makes it with a number.
func ensureGroup(name string, gid int) (int, error) {
	if found, err := findGroup(name); err == nil {
		return found, nil
	}
	if number, err := strconv.Atoi(name); err == nil {
		gid, name = number, "group"+name
	}
	if err := checkName(name); err != nil {
		return 0, err
	}
	for _, fields := range readColons(groupFile, 3) {
		if fields[2] == strconv.Itoa(gid) {
			return gid, nil
		}
	}
	return gid, appendLine(groupFile, 0o644, fmt.Sprintf("%s:x:%d:", name, gid))
}

func findGroup(name string) (int, error) {
	for _, fields := range readColons(groupFile, 3) {
		if gid, err := strconv.Atoi(fields[2]); err == nil && (fields[0] == name || fields[2] == name) {
			return gid, nil
		}
	}
	return 0, fmt.Errorf("group %q: %w", name, errNoAccount)
}

// findOrMakeGroup returns the name of a group that commands run with. A number needs no line
// in the file of groups.
func (u User) findOrMakeGroup(name string) (found string, made bool, err error) {
	if _, err := strconv.ParseUint(name, 10, 32); err == nil {
		return name, false, nil
	}
	_, err = findGroup(name)
	if errors.Is(err, errNoAccount) && !u.MustExist {
		_, err = ensureGroup(name, freeID())
		made = true
	}
	return name, made, err
}

// allowSudo lets a user become root, where the image has sudo.
func allowSudo(name string) (changed bool, err error) {
	if info, err := os.Stat(sudoersFiles); err != nil || !info.IsDir() {
		return false, nil //nolint:nilerr // an image without sudo
	}
	// Names with a dot are not read.
	path := filepath.Join(sudoersFiles, strings.ReplaceAll(name, ".", "_"))
	line := name + " ALL=(ALL:ALL) NOPASSWD: ALL\n"
	if content, err := os.ReadFile(path); err == nil && string(content) == line {
		return false, nil
	}
	return true, replaceFile(path, []byte(line), 0o440)
}

func appendLine(path string, mode os.FileMode, line string) error {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	return replaceFile(path, append(content, line+"\n"...), mode)
}

// replaceFile replaces a file at once: a full disk must not leave half of it. Owner and
// group stay.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := path + ".wrenn"
	if err := os.WriteFile(temporary, content, mode); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Chmod(temporary, mode); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if uid, gid, ok := ownerOf(path); ok {
		if err := os.Chown(temporary, uid, gid); err != nil {
			return errors.Join(err, os.Remove(temporary))
		}
	}
	return os.Rename(temporary, path)
}

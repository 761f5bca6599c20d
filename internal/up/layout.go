package up

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// SystemUser is the user as which the control plane and PostgreSQL run.
const SystemUser = "wrenn"

// Layout has the paths of a data directory's files.
type Layout struct{ DataDir string }

// APIKey is the first team's API key.
func (l Layout) APIKey() string { return filepath.Join(l.DataDir, "secrets", "api-key") }

// SecretKey is the file with the installation's secret keys, the newest first.
func (l Layout) SecretKey() string { return filepath.Join(l.DataDir, "secrets", "control-plane.key") }

func (l Layout) secrets() string      { return filepath.Join(l.DataDir, "secrets") }
func (l Layout) adminToken() string   { return filepath.Join(l.DataDir, "secrets", "admin-token") }
func (l Layout) console() string      { return filepath.Join(l.DataDir, "secrets", "console") }
func (l Layout) postgres() string     { return filepath.Join(l.DataDir, "postgres") }
func (l Layout) controlPlane() string { return filepath.Join(l.DataDir, "control-plane") }
func (l Layout) run() string          { return filepath.Join(l.DataDir, "run") }
func (l Layout) pidFile() string      { return filepath.Join(l.DataDir, "run", "wrenn.pid") }
func (l Layout) lifeline() string     { return filepath.Join(l.DataDir, "run", "lifeline") }
func (l Layout) instance() string     { return filepath.Join(l.DataDir, "run", "instance.json") }
func (l Layout) postgresRun() string  { return filepath.Join(l.DataDir, "run", "postgres") }
func (l Layout) logs() string         { return filepath.Join(l.DataDir, "logs") }
func (l Layout) log(name string) string {
	return filepath.Join(l.DataDir, "logs", name+".log")
}

// systemUser has the IDs of SystemUser.
type systemUser struct{ uid, gid int }

// ensureSystemUser looks up the system user, and makes it if it is missing.
func ensureSystemUser(ctx context.Context, say func(string)) (systemUser, error) {
	found, err := user.Lookup(SystemUser)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		output, err := exec.CommandContext(ctx, "useradd", "--system", "--user-group", "--no-create-home",
			"--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", SystemUser).CombinedOutput()
		if err != nil {
			return systemUser{}, fmt.Errorf("make the system user %s: %w: %s", SystemUser, err, output)
		}
		say(fmt.Sprintf("made the system user %q for the control plane and the database", SystemUser))
		found, err = user.Lookup(SystemUser)
		if err != nil {
			return systemUser{}, fmt.Errorf("find the system user: %w", err)
		}
	} else if err != nil {
		return systemUser{}, fmt.Errorf("find the system user: %w", err)
	}
	uid, uidErr := strconv.Atoi(found.Uid)
	gid, gidErr := strconv.Atoi(found.Gid)
	return systemUser{uid: uid, gid: gid}, errors.Join(uidErr, gidErr)
}

// prepare makes the directories. The system user can enter root's, to reach its own
// directory and the sockets, but cannot create files in them.
func (l Layout) prepare(owner systemUser) error {
	for _, directory := range []struct {
		path     string
		mode     os.FileMode
		uid, gid int
	}{
		{l.secrets(), 0o710, 0, owner.gid},
		{l.run(), 0o755, 0, 0},
		{l.logs(), 0o755, 0, 0},
		{l.controlPlane(), 0o700, owner.uid, owner.gid},
	} {
		if err := os.MkdirAll(directory.path, directory.mode); err != nil {
			return err
		}
		if err := errors.Join(os.Chown(directory.path, directory.uid, directory.gid), os.Chmod(directory.path, directory.mode)); err != nil {
			return err
		}
	}
	return nil
}

package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// defaultMaxConnections is enough for one control plane.
const defaultMaxConnections = 100

// settings are for a small server on one machine that loses no acknowledged
// transaction. The file is written at each start.
const settings = `# Written at each start. Put your own settings into local.conf in this directory.
listen_addresses = ''
unix_socket_directories = %s
unix_socket_permissions = 0700
cluster_name = 'wrenn'

max_connections = %d
shared_buffers = 64MB
max_wal_size = 256MB
jit = off

log_line_prefix = '%%m [%%p] '
log_checkpoints = off
log_timezone = 'UTC'
timezone = 'UTC'
lc_messages = 'C'

include_if_exists 'local.conf'
`

// accessRules let the cluster's own user connect as Role, and the user who started it
// as every role. The kernel tells the user of the connecting process (peer); there is no
// password.
const accessRules = "local all all peer map=wrenn\n"

// account is the system user that owns a cluster.
type account struct {
	name     string
	uid, gid uint32
}

// findAccount looks up a system user; no name means the current one.
func findAccount(name string) (account, error) {
	found, err := user.Current()
	if name != "" {
		found, err = user.Lookup(name)
	}
	if err != nil {
		return account{}, fmt.Errorf("find the database's system user: %w", err)
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user ID of %s: %w", found.Username, err)
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("group ID of %s: %w", found.Username, err)
	}
	if uid == 0 {
		return account{}, errors.New("PostgreSQL does not run as root: name another system user")
	}
	return account{name: found.Username, uid: uint32(uid), gid: uint32(gid)}, nil
}

// command prepares a program of PostgreSQL to run as the account, without the caller's
// environment.
func (a account) command(ctx context.Context, directory, program string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = directory
	command.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	if os.Geteuid() == 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid}}
	}
	return command
}

// ownDirectory makes a directory that only the account may enter.
func (a account) ownDirectory(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make database directory: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("change the owner of the database directory: %w", err)
	}
	return nil
}

// writeFile writes a file atomically, owned by the account.
func (a account) writeFile(path, content string) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(temporary, int(a.uid), int(a.gid)); err != nil {
			return fmt.Errorf("change the owner of %s: %w", path, err)
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// initialize makes the cluster if there is none, atomically: after an interrupted
// initdb it starts again.
func (c Config) initialize(ctx context.Context, owner account, installation Installation) error {
	if _, err := os.Stat(c.clusterDir()); err == nil {
		return nil
	}
	unfinished := c.clusterDir() + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("remove unfinished database: %w", err)
	}
	initdb := owner.command(ctx, c.DataDir, filepath.Join(installation.Bin, "initdb"),
		"--pgdata="+unfinished, "--username="+adminRole, "--encoding=UTF8", "--locale=C.UTF-8",
		"--auth-local=peer", "--auth-host=reject", "--data-checksums", "--no-instructions")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("make the database: initdb: %w: %s", err, lastLine(output))
	}
	if err := os.Rename(unfinished, c.clusterDir()); err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	return nil
}

// configure writes the cluster's configuration.
func (c Config) configure(owner account) error {
	users := fmt.Sprintf("wrenn %s %s\n", owner.name, Role)
	if current, err := user.Current(); err == nil {
		for _, role := range []string{Role, adminRole, upgradeRole} {
			users += fmt.Sprintf("wrenn %s %s\n", current.Username, role)
		}
	}
	quotedSocketDir := "'" + strings.ReplaceAll(c.SocketDir, "'", "''") + "'"
	return errors.Join(
		owner.writeFile(filepath.Join(c.clusterDir(), "postgresql.conf"), fmt.Sprintf(settings, quotedSocketDir, cmp.Or(c.MaxConnections, defaultMaxConnections))),
		owner.writeFile(filepath.Join(c.clusterDir(), "pg_hba.conf"), accessRules),
		owner.writeFile(filepath.Join(c.clusterDir(), "pg_ident.conf"), users),
	)
}

// lastLine returns the last line of a program's output, which says why it failed.
func lastLine(output []byte) []byte {
	output = bytes.TrimSpace(output)
	return output[bytes.LastIndexByte(output, '\n')+1:]
}

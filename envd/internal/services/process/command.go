package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

const (
	defaultPath  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	defaultShell = "/bin/bash"
	defaultTerm  = "xterm-256color"
	// defaultLocale exists on every Debian.
	defaultLocale = "C.UTF-8"
)

// buildCommand validates a request and makes its command, without a context: a client
// that disconnects does not kill the child.
func buildCommand(request *pb.StartRequest, user *permissions.User, settings map[string]string, workdir string) (*exec.Cmd, error) {
	config := request.GetProcess()
	if config.GetCmd() == "" {
		return nil, errors.New("cmd is empty")
	}
	for _, text := range append([]string{config.GetCmd()}, config.GetArgs()...) {
		if strings.ContainsRune(text, 0) {
			return nil, errors.New("cmd and args must not hold NUL bytes")
		}
	}
	directory, err := filesystem.Resolve(config.GetCwd(), user.Home, workdir)
	if err != nil {
		return nil, fmt.Errorf("cwd: %w", err)
	}
	if !isDirectory(directory) {
		if config.GetCwd() != "" {
			return nil, fmt.Errorf("cwd: %s is not a directory", directory)
		}
		directory = "/" // as a login does for a user whose home does not exist
	}
	environment, err := buildEnvironment(request, user, settings)
	if err != nil {
		return nil, err
	}
	command := exec.Command(config.GetCmd(), config.GetArgs()...)
	command.Dir = directory
	command.Env = environment
	command.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		command.SysProcAttr.Credential = user.Credential()
	}
	return command, nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// buildEnvironment merges the variables of a login, of the sandbox and of the request;
// later ones take precedence.
func buildEnvironment(request *pb.StartRequest, user *permissions.User, settings map[string]string) ([]string, error) {
	variables := map[string]string{
		"PATH": defaultPath, "HOME": user.Home, "USER": user.Name, "LOGNAME": user.Name, "SHELL": defaultShell,
		"LANG": defaultLocale,
	}
	if directory := fmt.Sprintf("/run/user/%d", user.UID); isDirectory(directory) {
		variables["XDG_RUNTIME_DIR"] = directory
	}
	if request.GetPty() != nil {
		variables["TERM"] = defaultTerm
	}
	for _, layer := range []map[string]string{settings, request.GetProcess().GetEnvs()} {
		for name, value := range layer {
			if err := utils.CheckVariable(name, value); err != nil {
				return nil, fmt.Errorf("environment: %w", err)
			}
			variables[name] = value
		}
	}
	environment := make([]string, 0, len(variables))
	for name, value := range variables {
		environment = append(environment, name+"="+value)
	}
	return environment, nil
}

// startError maps an error of starting a command to its code.
func startError(name string, err error) error {
	code := connect.CodeInternal
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		code = connect.CodeNotFound
	case errors.Is(err, fs.ErrPermission):
		code = connect.CodePermissionDenied
	case errors.Is(err, syscall.E2BIG), errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		code = connect.CodeInvalidArgument
	case errors.Is(err, cgroups.ErrFrozen):
		code = connect.CodeUnavailable
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE):
		code = connect.CodeResourceExhausted
	}
	return connect.NewError(code, fmt.Errorf("start %q: %w", name, err))
}

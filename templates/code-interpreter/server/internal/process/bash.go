package process

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

// bash is an interactive bash that reads its commands from file 3. Interactive, because
// an interrupt then ends the whole command that runs, but not the shell.
type bash struct{}

// setup has the shell read commands from file 3, without prompts, history, or what its
// start said about having no terminal.
const setup = `exec 5>&2 && exec bash --noprofile --norc -i <&3 3<&- 2>/dev/null`

func (bash) command() *exec.Cmd {
	command := exec.Command("bash", "--noprofile", "--norc", "-c", setup)
	command.Env = append(os.Environ(), "PS1=", "PS2=", "HISTFILE=", "TERM=dumb")
	return command
}

// encode makes two commands: the code, and what tells its end. An interrupt ends the
// first alone. The code's own standard input is empty: the shell's has the commands.
func (bash) encode(run kernel.Run, token string) ([]byte, error) {
	if strings.IndexByte(run.Code, 0) >= 0 {
		return nil, errors.New("code for bash must not have NUL characters")
	}
	quoted := "'" + strings.ReplaceAll(run.Code, "'", `'\''`) + "'"
	var b strings.Builder
	b.WriteString("eval " + quoted + " </dev/null 2>&5 4>&- 5>&-\n")
	b.WriteString(`{ printf '{"status":%d}\n' "$?" >&4; printf '\0%s\0' ` + token + `; printf '\0%s\0' ` + token + " >&5; }\n")
	return []byte(b.String()), nil
}

// interrupt sends SIGINT to the shell and what runs in the foreground: without job
// control all of it is one process group.
func (bash) interrupt(process *os.Process, _ io.Writer) error {
	return syscall.Kill(-process.Pid, syscall.SIGINT)
}

package process

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

//go:embed node.js
var nodeDriver string

// typeScriptPlaces are where Debian and npm install TypeScript for all users.
var typeScriptPlaces = []string{"/usr/share/nodejs", "/usr/lib/node_modules", "/usr/local/lib/node_modules"}

// node is Node.js with a driver that evaluates code as the console of its inspector
// does: with await at the top, and names that can be declared again.
type node struct{ language, driver string }

func (n node) command() *exec.Cmd {
	command := exec.Command("node", "--no-warnings", n.driver)
	command.Env = append(os.Environ(), "FORCE_COLOR=0")
	if place := typeScript(); place != "" {
		command.Env = append(command.Env, "WRENN_TYPESCRIPT="+place)
	}
	return command
}

func (n node) encode(run kernel.Run, token string) ([]byte, error) {
	line, err := json.Marshal(map[string]any{"code": run.Code, "silent": run.Silent, "language": n.language, "token": token})
	if err != nil {
		return nil, fmt.Errorf("encode code for node: %w", err)
	}
	return append(line, '\n'), nil
}

func (node) interrupt(_ *os.Process, commands io.Writer) error {
	_, err := io.WriteString(commands, `{"interrupt":true}`+"\n")
	return err
}

func hasTypeScript() bool { return typeScript() != "" }

// typeScript is the directory of the TypeScript compiler, empty where there is none that
// can be called from a program.
func typeScript() string {
	for _, place := range append(filepath.SplitList(os.Getenv("NODE_PATH")), typeScriptPlaces...) {
		directory := filepath.Join(place, "typescript")
		if _, err := os.Stat(filepath.Join(directory, "lib", "typescript.js")); err == nil {
			return directory
		}
	}
	return ""
}

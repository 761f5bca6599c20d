package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/test/e2e/guest"
)

// insideProgram runs in the guest. It runs the same command by fork and exec, and by a
// request to envd over one loopback connection, in turns. It prints seconds.
const insideProgram = `
import http.client, json, struct, subprocess, time
command = ["/bin/sh", "-c", "echo ready"]
payload = json.dumps({"process": {"cmd": command[0], "args": command[1:]}, "stdin": False}).encode()
body = struct.pack(">BI", 0, len(payload)) + payload
connection = http.client.HTTPConnection("127.0.0.1", %d)
headers = {"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1", "X-Access-Token": %q}
def forked():
    assert subprocess.run(command, capture_output=True).stdout == b"ready\n"
def asked():
    connection.request("POST", "/process.Process/Start", body, headers)
    assert b'"end"' in connection.getresponse().read()
times = {"forked": [], "asked": []}
for turn in range(%d + 1):
    for side in (forked, asked):
        began = time.monotonic()
        side()
        if turn > 0: times[side.__name__].append(time.monotonic() - began)
print(json.dumps(times))
`

// measureInside compares a command that envd runs with fork and exec in the guest.
func measureInside(ctx context.Context, agent *guest.Agent, count int, into *measurements) error {
	program := fmt.Sprintf(insideProgram, guest.AgentPort, agent.Header.Get("X-Access-Token"), count)
	result, err := agent.Run(ctx, "python3 - <<'END'\n"+program+"\nEND")
	if err != nil {
		return err
	}
	var seconds struct {
		Forked []float64 `json:"forked"`
		Asked  []float64 `json:"asked"`
	}
	if err := json.Unmarshal(result.Stdout, &seconds); err != nil {
		return fmt.Errorf("measure commands in the guest: %w: %s", err, strings.TrimSpace(string(result.Stderr)))
	}
	for i := range seconds.Forked {
		into.commandForked = append(into.commandForked, time.Duration(seconds.Forked[i]*float64(time.Second)))
		into.commandInside = append(into.commandInside, time.Duration(seconds.Asked[i]*float64(time.Second)))
	}
	return nil
}

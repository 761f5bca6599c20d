package wrenn

import (
	"net/url"
	"time"
)

// sandboxInfo is the part of the API's answer about a sandbox that is shown.
type sandboxInfo struct {
	SandboxID       string            `json:"sandboxID"`
	TemplateID      string            `json:"templateID"`
	Alias           string            `json:"alias,omitempty"`
	State           string            `json:"state,omitempty"`
	StartedAt       time.Time         `json:"startedAt"`
	EndAt           time.Time         `json:"endAt"`
	CPUCount        int               `json:"cpuCount"`
	MemoryMB        int               `json:"memoryMB"`
	DiskSizeMB      int               `json:"diskSizeMB"`
	EnvdVersion     string            `json:"envdVersion"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	Isolation       string            `json:"isolation,omitempty"`
	EnvdAccessToken string            `json:"envdAccessToken,omitempty"`
}

// sandboxPath is the path of an action on a sandbox.
func sandboxPath(id, action string) string {
	return "/sandboxes/" + url.PathEscape(id) + action
}

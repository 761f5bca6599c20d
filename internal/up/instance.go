package up

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// instance describes a running Wrenn to other commands. The file is written when Wrenn
// is ready. After a crash it remains and names a process that has ended.
type instance struct {
	PID    int    `json:"pid"`
	URL    string `json:"url"`
	Listen string `json:"listen"`
	Domain string `json:"domain"`
	// Build tells builds of the same version apart.
	Build string `json:"build"`
}

func (l Layout) writeInstance(i instance) error {
	content, err := json.Marshal(i)
	if err != nil {
		return err
	}
	temporary := l.instance() + ".new"
	if err := os.WriteFile(temporary, append(content, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, l.instance())
}

// readInstance returns false if the process with the given ID is not ready.
func (l Layout) readInstance(pid int) (instance, bool, error) {
	content, err := os.ReadFile(l.instance())
	if errors.Is(err, os.ErrNotExist) {
		return instance{}, false, nil
	}
	if err != nil {
		return instance{}, false, err
	}
	var found instance
	if err := json.Unmarshal(content, &found); err != nil {
		return instance{}, false, fmt.Errorf("read %s: %w", l.instance(), err)
	}
	return found, found.PID == pid, nil
}

func (l Layout) removeInstance() error {
	if err := os.Remove(l.instance()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// URL returns the URL of the Wrenn that serves a data directory; false if none is
// ready.
func (l Layout) URL() (string, bool, error) {
	pid, err := l.runningPID()
	if err != nil || pid == 0 {
		return "", false, err
	}
	found, ready, err := l.readInstance(pid)
	return found.URL, ready, err
}

// buildOf identifies the programs a Wrenn runs by their content.
func buildOf(paths ...string) (string, error) {
	hash := sha256.New()
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(hash, file)
		if err := errors.Join(err, file.Close()); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), nil
}

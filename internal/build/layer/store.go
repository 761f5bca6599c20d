// Package layer keeps the results of build steps: disks, cloned by reflink, and an index
// that finds them by the keys of their steps. An entry of the index is written when its
// disk is durable, so that a crash leaves no entry without one.
//
// The least recently used layers are removed when all are larger than the store may be,
// but none that is in use. A step's layer counts as used later than those after it: what
// depends on a layer goes first.
package layer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// ErrNotFound is returned for a layer that was removed.
var ErrNotFound = errors.New("layer not found")

// Entry is the result of a step.
type Entry struct {
	// LayerID names the disk. A step that changes no file has its predecessor's.
	LayerID string `json:"layerId"`
	// Context is that of the next step.
	Context plan.Context `json:"context"`
	// Source is of a step that downloads; nil for others.
	Source *Source `json:"source,omitempty"`
}

// Source is what a URL had when it was downloaded. ETag and LastModified are empty where its
// server says nothing.
type Source struct {
	SHA256       string `json:"sha256"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// Store is a directory of layers, each in its team's directory.
type Store struct {
	directory string
	maxBytes  int64
	log       *slog.Logger

	mutex  sync.Mutex
	layers map[string]*layer // by ID
}

// layer is one disk. Its fields are guarded by the store's mutex.
type layer struct {
	teamID   string
	ownBytes int64 // what it does not share with the layer that it was made from
	used     time.Time
	users    int
}

// Directories of a team.
const (
	disksDirectory = "disks"
	indexDirectory = "index"
	factsSuffix    = ".json"
)

// facts is the file beside a layer. Its modification time is when the layer was used last.
type facts struct {
	OwnBytes int64 `json:"ownBytes"`
}

// Open opens a store in a directory, which holds at most maxBytes, and removes what a crash
// left unfinished.
func Open(directory string, maxBytes int64, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("open layers: %w", err)
	}
	s := &Store{directory: directory, maxBytes: maxBytes, log: log, layers: make(map[string]*layer)}
	teams, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("open layers: %w", err)
	}
	for _, team := range teams {
		if err := s.openTeam(team.Name()); err != nil {
			return nil, fmt.Errorf("open the layers of a team: %w", err)
		}
	}
	s.evict()
	return s, nil
}

// openTeam removes entries without a disk, and disks without an entry.
func (s *Store) openTeam(teamID string) error {
	entries, err := filepath.Glob(filepath.Join(s.directory, teamID, indexDirectory, "*"))
	if err != nil {
		return err
	}
	indexed := make(map[string]bool)
	for _, path := range entries {
		entry, err := readEntry(path)
		if err == nil && entry.LayerID != "" {
			_, err = snapshot.Open(s.diskDirectory(teamID, entry.LayerID))
		}
		if err != nil {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		indexed[entry.LayerID] = true
	}
	disks, err := os.ReadDir(filepath.Join(s.directory, teamID, disksDirectory))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range disks {
		id := strings.TrimSuffix(entry.Name(), factsSuffix)
		if !indexed[id] {
			if err := os.RemoveAll(filepath.Join(s.directory, teamID, disksDirectory, entry.Name())); err != nil {
				return err
			}
			continue
		}
		if entry.IsDir() {
			s.layers[id] = s.readLayer(teamID, id)
		}
	}
	return nil
}

// readLayer reads the facts of a layer; a crash may have come before they were written.
func (s *Store) readLayer(teamID, id string) *layer {
	found := &layer{teamID: teamID}
	path := s.factsPath(teamID, id)
	content, err := os.ReadFile(path)
	var known facts
	if err == nil {
		err = json.Unmarshal(content, &known)
	}
	if info, statErr := os.Stat(path); err == nil && statErr == nil {
		found.ownBytes, found.used = known.OwnBytes, info.ModTime()
		return found
	}
	// All that the disk has: too much rather than too little.
	found.ownBytes, _ = disk.OwnBytes((&snapshot.Snapshot{Dir: s.diskDirectory(teamID, id)}).DiskPath(), "")
	return found
}

// teamName is what a team's ID may look like, since it names a directory.
var teamName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// IsTeam reports whether a team's ID can name a directory.
func IsTeam(teamID string) bool { return teamName.MatchString(teamID) }

func (s *Store) diskDirectory(teamID, id string) string {
	return filepath.Join(s.directory, teamID, disksDirectory, id)
}

func (s *Store) factsPath(teamID, id string) string { return s.diskDirectory(teamID, id) + factsSuffix }

func (s *Store) entryPath(teamID string, key plan.Key) string {
	return filepath.Join(s.directory, teamID, indexDirectory, string(key))
}

// Find returns the result of a step, if the store has it.
func (s *Store) Find(teamID string, key plan.Key) (Entry, bool) {
	entry, err := readEntry(s.entryPath(teamID, key))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("an entry of the build cache cannot be read", "error", err)
		}
		return Entry{}, false
	}
	if entry.LayerID == "" {
		return entry, true
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found := s.layers[entry.LayerID]
	return entry, found != nil && found.teamID == teamID
}

func readEntry(path string) (Entry, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Entry{}, err
	}
	var entry Entry
	return entry, json.Unmarshal(content, &entry)
}

// Use returns a layer's disk, as a snapshot without memory, which stays until release is
// called.
func (s *Store) Use(teamID, id string) (_ *snapshot.Snapshot, release func(), err error) {
	if !s.hold(teamID, id) {
		return nil, nil, ErrNotFound
	}
	release = sync.OnceFunc(func() { s.letGo(id) })
	opened, err := snapshot.Open(s.diskDirectory(teamID, id))
	if err != nil {
		release()
		return nil, nil, err
	}
	return opened, release, nil
}

func (s *Store) hold(teamID, id string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found := s.layers[id]
	if found == nil || found.teamID != teamID {
		return false
	}
	found.users++
	return true
}

func (s *Store) letGo(id string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if found := s.layers[id]; found != nil {
		found.users--
	}
}

// Added is a layer to be added.
type Added struct {
	TeamID string
	Key    plan.Key
	// ParentID is the layer that the disk was cloned from; empty for none.
	ParentID string
	// Disk is cloned. Nothing writes to it meanwhile.
	Disk    snapshot.Source
	DiskMiB int
	Context plan.Context
	Source  *Source
}

// Add stores a disk and its entry, both durable on return, and returns how many bytes it
// does not share with its parent. An earlier entry of that key is replaced. The layer stays
// until release is called.
func (s *Store) Add(ctx context.Context, added Added) (_ Entry, ownBytes int64, release func(), err error) {
	id := strings.ToLower(rand.Text())
	manifest := snapshot.Manifest{BuildID: id, DiskMiB: added.DiskMiB, DiskOnly: true}
	taken, err := snapshot.Take(ctx, added.Disk, manifest, s.diskDirectory(added.TeamID, id))
	if err != nil {
		return Entry{}, 0, nil, fmt.Errorf("store a layer: %w", err)
	}
	entry := Entry{LayerID: id, Context: added.Context, Source: added.Source}
	ownBytes = s.measure(added, taken)
	s.mutex.Lock()
	s.layers[id] = &layer{teamID: added.TeamID, ownBytes: ownBytes, used: time.Now(), users: 1}
	s.mutex.Unlock()
	if err := s.AddEntry(added.TeamID, added.Key, entry); err != nil {
		return Entry{}, 0, nil, errors.Join(err, s.remove(id, 1))
	}
	s.evict()
	return entry, ownBytes, sync.OnceFunc(func() { s.letGo(id) }), nil
}

// measure writes the facts of a new layer. They can be found again if they are lost.
func (s *Store) measure(added Added, taken *snapshot.Snapshot) int64 {
	parent := ""
	if added.ParentID != "" {
		parent = filepath.Join(s.diskDirectory(added.TeamID, added.ParentID), filepath.Base(taken.DiskPath()))
	}
	own, err := disk.OwnBytes(taken.DiskPath(), parent)
	if errors.Is(err, fs.ErrNotExist) {
		own, err = disk.OwnBytes(taken.DiskPath(), "")
	}
	if err != nil {
		s.log.Warn("measure a layer", "error", err)
	}
	content, _ := json.Marshal(facts{OwnBytes: own})
	if err := os.WriteFile(s.factsPath(added.TeamID, taken.BuildID), content, 0o600); err != nil {
		s.log.Warn("note the size of a layer", "error", err)
	}
	return own
}

// AddEntry stores a result that has no disk of its own.
func (s *Store) AddEntry(teamID string, key plan.Key, entry Entry) error {
	content, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encode an entry of the build cache: %w", err)
	}
	path := s.entryPath(teamID, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store an entry of the build cache: %w", err)
	}
	return disk.WriteFile(path, content, 0o600)
}

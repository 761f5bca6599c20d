package volume

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of requests.
const (
	maxPathBytes  = 4096
	maxBodyBytes  = 1 << 16
	maxMode       = 0o7777
	anyID         = -1
	defaultDepth  = 1
	maxDepth      = 64
	maxEntries    = 100_000
	defaultOfFile = 0o644
	defaultOfDir  = 0o755
)

// nameOf is the path that a request is about, relative to the volume. ".." works as if the
// volume's directory were the root directory.
func nameOf(query url.Values) (string, error) {
	name := query.Get("path")
	switch {
	case name == "":
		return "", badRequest("path is missing")
	case len(name) > maxPathBytes:
		return "", badRequest("path has more than 4096 bytes")
	case strings.ContainsRune(name, 0) || !utf8.ValidString(name):
		return "", badRequest("path must be UTF-8 without a zero byte")
	}
	return path.Join(".", path.Join("/", name)[1:]), nil
}

// attributes are those that a request sets; -1 leaves one as it is.
type attributes struct {
	uid, gid, mode int64
	force          bool
}

func attributesOf(query url.Values) (wanted attributes, err error) {
	wanted = attributes{uid: anyID, gid: anyID, mode: anyID}
	for name, field := range map[string]*int64{"uid": &wanted.uid, "gid": &wanted.gid, "mode": &wanted.mode} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		number, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return wanted, badRequest(name + " must be a number below 2^32")
		}
		*field = int64(number)
	}
	if text := query.Get("force"); text != "" {
		if wanted.force, err = strconv.ParseBool(text); err != nil {
			return wanted, badRequest("force must be true or false")
		}
	}
	return wanted, wanted.check()
}

// check refuses values to which the kernel gives another meaning.
func (a attributes) check() error {
	const noID = 1<<32 - 1
	switch {
	case a.uid == noID || a.gid == noID:
		return badRequest("uid and gid must be below 2^32-1")
	case a.mode > maxMode:
		return badRequest("mode must be at most 07777")
	default:
		return nil
	}
}

// attributesIn reads attributes from the body of a request.
func attributesIn(w http.ResponseWriter, r *http.Request) (attributes, error) {
	var body struct{ UID, GID, Mode *uint32 }
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		return attributes{}, badRequest("the body is too large")
	}
	if err := json.Unmarshal(content, &body); err != nil {
		return attributes{}, badRequest("the body must be a JSON object with the numbers uid, gid and mode")
	}
	wanted := attributes{uid: anyID, gid: anyID, mode: anyID}
	for field, value := range map[*int64]*uint32{&wanted.uid: body.UID, &wanted.gid: body.GID, &wanted.mode: body.Mode} {
		if value != nil {
			*field = int64(*value)
		}
	}
	return wanted, wanted.check()
}

func depthOf(query url.Values) (int, error) {
	text := query.Get("depth")
	if text == "" {
		return defaultDepth, nil
	}
	depth, err := strconv.ParseUint(text, 10, 32)
	if err != nil || depth == 0 {
		return 0, badRequest("depth must be a number from 1 on")
	}
	return int(min(depth, maxDepth)), nil
}

package files

import (
	"net/http"
	"strings"
)

// Limits of a file's metadata, set by the kernel and the wire protocol.
const (
	metadataHeader     = "X-Metadata-"
	maxMetadataKey     = 246
	maxMetadataPerFile = 4096
)

// metadataOf reads the headers that become extended attributes. Header names have no
// case; keys are in lower case.
func metadataOf(header http.Header) (map[string]string, error) {
	var metadata map[string]string
	total := 0
	for name, values := range header {
		key, ours := strings.CutPrefix(name, metadataHeader)
		if !ours {
			continue
		}
		key = strings.ToLower(key)
		value := strings.Join(values, ",")
		switch {
		case key == "" || len(key) > maxMetadataKey:
			return nil, badRequest("a metadata key has %d bytes; from 1 to %d are allowed", len(key), maxMetadataKey)
		case !printable(key) || !printable(value):
			return nil, badRequest("metadata %q holds more than printable ASCII", key)
		}
		if total += len(key) + len(value); total > maxMetadataPerFile {
			return nil, badRequest("the metadata is larger than %d bytes", maxMetadataPerFile)
		}
		if metadata == nil {
			metadata = make(map[string]string)
		}
		metadata[key] = value
	}
	return metadata, nil
}

func printable(text string) bool {
	for _, char := range []byte(text) {
		if char < ' ' || char > '~' {
			return false
		}
	}
	return true
}

package files

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// errNotAcceptable is returned to a client that accepts neither encoding.
var errNotAcceptable = errors.New("neither identity nor gzip is an accepted encoding")

// wantsGzip reports whether to compress the answer. Ranges are never compressed.
// Source: RFC 9110, section 12.5.3.
func wantsGzip(header http.Header) (bool, error) {
	accepted := acceptedEncodings(header)
	anything, anythingNamed := accepted["*"]
	identity, identityNamed := accepted["identity"]
	zipped, zippedNamed := accepted["gzip"]
	if !identityNamed && anythingNamed && anything == 0 {
		identityNamed, identity = true, 0
	}
	plainTaken := !identityNamed || identity > 0
	if !plainTaken && !zippedNamed {
		zipped = anything
	}
	switch {
	case !plainTaken && zipped > 0:
		return true, nil
	case !plainTaken:
		return false, errNotAcceptable
	case asksForPart(header):
		return false, nil
	default:
		return zipped > 0 && zipped >= identity, nil
	}
}

// asksForPart reports whether a request is conditional or for a range.
func asksForPart(header http.Header) bool {
	for _, name := range []string{"Range", "If-Modified-Since", "If-None-Match", "If-Range"} {
		if header.Get(name) != "" {
			return true
		}
	}
	return false
}

// acceptedEncodings reads Accept-Encoding as weights from 0 to 1. Malformed elements are
// ignored.
func acceptedEncodings(header http.Header) map[string]float64 {
	weights := make(map[string]float64)
	for element := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		name, parameter, weighted := strings.Cut(element, ";")
		weight := 1.0
		if weighted {
			key, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
			parsed, err := strconv.ParseFloat(value, 64)
			if !strings.EqualFold(key, "q") || err != nil || !(parsed >= 0 && parsed <= 1) {
				continue
			}
			weight = parsed
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "x-gzip" {
			name = "gzip"
		}
		weights[name] = weight
	}
	return weights
}

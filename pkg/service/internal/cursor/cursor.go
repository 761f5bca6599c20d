// Package cursor encodes places in lists that are ordered by time and ID, as the
// page tokens of the API.
package cursor

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/exactjson"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Cursor is the last row of a page.
type Cursor struct {
	Time time.Time
	ID   string
}

// At is the cursor of a row.
func At(at time.Time, id string) Cursor { return Cursor{Time: at, ID: id} }

// String is opaque to clients.
func (c Cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.Time.UnixMicro(), 10) + "_" + c.ID))
}

// maxMicros is the year 9999, within what PostgreSQL can store.
const maxMicros = 253_402_300_799_000_000

// Parse reads a page token. The empty one is before the first row of a list in the
// given order.
func Parse(token string, ascending bool) (Cursor, error) {
	if token == "" {
		if ascending {
			return Cursor{Time: time.Unix(0, 0)}, nil
		}
		return Cursor{Time: time.Now().AddDate(100, 0, 0)}, nil //nolint:mnd // further than any clock is off
	}
	bad := fault.New(fault.Invalid, "nextToken is not one that a list has answered")
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return Cursor{}, bad
	}
	number, id, found := strings.Cut(string(raw), "_")
	micros, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !found || id == "" || len(id) > 64 || !exactjson.Storable(id) || micros < 0 || micros > maxMicros {
		return Cursor{}, bad
	}
	return Cursor{Time: time.UnixMicro(micros), ID: id}, nil
}

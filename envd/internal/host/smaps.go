package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// errMalformedMap is returned for lines that are not of the format.
var errMalformedMap = errors.New("malformed memory map")

// mapping is one mapping. Sizes are in bytes.
type mapping struct {
	Start, End  uint64
	Permissions string // as in "rw-p"
	Path        string // empty for anonymous memory, or a name in brackets
	Resident    uint64
	Huge        uint64 // the part of Resident that lies in huge pages
}

// isAnonymous says whether the region is private memory of no file, which
// includes what the kernel names, as it does the heap.
func (r *mapping) isAnonymous() bool {
	return strings.HasSuffix(r.Permissions, "p") && (r.Path == "" || strings.HasPrefix(r.Path, "[anon") || r.Path == "[heap]")
}

// parseMappings reads the format of /proc/PID/smaps.
// Source: Documentation/filesystems/proc.rst in Linux.
func parseMappings(from io.Reader) ([]mapping, error) {
	var regions []mapping
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		name, value, isField := strings.Cut(lines.Text(), ":")
		if isField && !strings.Contains(name, " ") {
			if len(regions) == 0 {
				return nil, fmt.Errorf("%w: %q before any mapping", errMalformedMap, name)
			}
			if err := regions[len(regions)-1].setField(name, value); err != nil {
				return nil, err
			}
			continue
		}
		region, err := parseHeader(lines.Text())
		if err != nil {
			return nil, err
		}
		regions = append(regions, region)
	}
	return regions, lines.Err()
}

// parseHeader reads "start-end perms offset device inode [path]".
func parseHeader(line string) (mapping, error) {
	const permissionsField, pathField = 1, 5
	fields := strings.Fields(line)
	if len(fields) < pathField {
		return mapping{}, fmt.Errorf("%w: %q", errMalformedMap, line)
	}
	start, end, _ := strings.Cut(fields[0], "-")
	region := mapping{Permissions: fields[permissionsField], Path: strings.Join(fields[pathField:], " ")}
	var startErr, endErr error
	region.Start, startErr = strconv.ParseUint(start, 16, 64)
	region.End, endErr = strconv.ParseUint(end, 16, 64)
	if startErr != nil || endErr != nil || region.End < region.Start {
		return mapping{}, fmt.Errorf("%w: %q", errMalformedMap, line)
	}
	return region, nil
}

func (r *mapping) setField(name, value string) error {
	var target *uint64
	switch name {
	case "Rss":
		target = &r.Resident
	case "AnonHugePages":
		target = &r.Huge
	default:
		return nil
	}
	kibibytes, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 54)
	if err != nil {
		return fmt.Errorf("%w: %s is %q", errMalformedMap, name, value)
	}
	*target = kibibytes << 10
	return nil
}

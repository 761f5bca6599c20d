package leakcheck

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// programs are Wrenn's own and those that it starts. The kernel cuts names after 15 bytes.
var programs = []string{"wrenn", "wrenn-agent", "wrenn-control", "wrenn-control-p", "wrenn-host-agen", "envd", "postgres", "qemu-system-x86"}

// processes lists the processes of programs. Zombies have ended and are left out.
func processes() ([]string, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, stat := range stats {
		content, err := os.ReadFile(stat)
		if err != nil {
			continue // it has just ended
		}
		// pid (comm) state … with the start time as field 22; comm may hold anything.
		head, tail, _ := strings.Cut(string(content), " (")
		comm, rest, ok := cutLast(tail, ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 20 || fields[0] == "Z" || !slices.Contains(programs, comm) {
			continue
		}
		arguments, err := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline"))
		if err != nil {
			continue
		}
		line := strings.TrimSpace(strings.ReplaceAll(string(arguments), "\x00", " "))
		found = append(found, fmt.Sprintf("%s %s, started at %s: %s", comm, head, fields[19], line))
	}
	return found, nil
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

func networkNamespaces() ([]string, error) {
	entries, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

// links lists the network devices of this namespace, veths and TAPs among them.
func links() ([]string, error) {
	devices, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(devices))
	for _, device := range devices {
		names = append(names, device.Attrs().Name+" ("+device.Type()+")")
	}
	return names, nil
}

// mounts lists mount points and what is mounted there.
func mounts() ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		head, tail, _ := strings.Cut(lines.Text(), " - ")
		where, what := strings.Fields(head), strings.Fields(tail)
		if len(where) < 5 || len(what) < 2 {
			return nil, fmt.Errorf("mountinfo has a malformed line: %q", lines.Text())
		}
		found = append(found, where[4]+" ("+what[0]+" of "+what[1]+")")
	}
	return found, lines.Err()
}

// loopDevices lists those in use, with the files behind them.
func loopDevices() ([]string, error) {
	backings, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, backing := range backings {
		path, err := os.ReadFile(backing)
		if err != nil {
			continue // it was detached just now
		}
		device := strings.Split(backing, "/")[3]
		found = append(found, device+" of "+strings.TrimSpace(string(path)))
	}
	return found, nil
}

// controlGroups lists those of VMs, their parents and those of tests.
func controlGroups() ([]string, error) {
	mounted, err := mounts()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, mount := range mounted {
		directory, isGroups := strings.CutSuffix(mount, " (cgroup2 of cgroup2)")
		if !isGroups {
			continue
		}
		for _, below := range []string{"*wrenn*", "*wrenn*/*", "*wrenn*/*/*"} {
			paths, err := filepath.Glob(filepath.Join(directory, below, "cgroup.procs"))
			if err != nil {
				return nil, err
			}
			for _, path := range paths {
				found = append(found, filepath.Dir(path))
			}
		}
	}
	return found, nil
}

func nftablesTables() ([]string, error) {
	connection, err := nftables.New()
	if err != nil {
		return nil, err
	}
	tables, err := connection.ListTables()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(tables))
	for _, table := range tables {
		names = append(names, table.Name)
	}
	return names, nil
}

package prepare

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// newImage makes a root file system of files by path. A content that begins with "->" is
// a link; those in directories of programs can be executed.
func newImage(t *testing.T, files map[string]string) image {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives files away")
	}
	root := t.TempDir()
	for path, content := range files {
		target := filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
		if to, isLink := strings.CutPrefix(content, "->"); isLink {
			require.NoError(t, os.Symlink(to, target))
			continue
		}
		mode := os.FileMode(0o644)
		if strings.Contains(path, "bin/") {
			mode = 0o755
		}
		require.NoError(t, os.WriteFile(target, []byte(content), mode))
	}
	return image{root: root, gateway: netip.MustParseAddr("169.254.7.1"), report: &Report{}}
}

func (i image) read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(i.path(path))
	require.NoError(t, err)
	return string(content)
}

func TestPrepare_ChangesNothingTheSecondTime(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"Nothing": {},
		"Alpine": {
			"/bin/busybox": "x", "/bin/sh": "->busybox", "/etc/passwd": "root:x:0:0:root:/root:/bin/ash\n",
			"/etc/group": "root:x:0:root\nwheel:x:10:root\nshadow:x:42:\n", "/etc/shadow": "root:*::0:::::\n",
		},
		"Debian": {
			"/usr/bin/bash": "x", "/bin": "->usr/bin", "/usr/bin/sh": "->bash", "/usr/bin/sudo": "x", "/etc/sudoers": "root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n",
			"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", "/etc/group": "root:x:0:\nsudo:x:27:\n", "/etc/shadow": "root:*:19000:0:99999:7:::\n",
			"/etc/gshadow": "root:*::\nsudo:*::\n", "/etc/skel/.profile": "x", "/etc/resolv.conf": "->../run/systemd/resolve/stub-resolv.conf",
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newImage(t, files)
			require.NoError(t, i.prepare())
			first, made := i.describe(t), *i.report
			require.True(t, made.User.Made)
			*i.report = Report{}
			require.NoError(t, i.prepare())
			require.Equal(t, first, i.describe(t))
			require.False(t, i.report.User.Made)
			made.User.Made = false
			require.Equal(t, made.User, i.report.User)
			require.Equal(t, made.Shell, i.report.Shell)
			require.Equal(t, made.Sudo, i.report.Sudo)
		})
	}
}

// describe lists all files with their modes, owners and contents.
func (i image) describe(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir(i.root, func(path string, entry os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		stat, ok := info.Sys().(*syscall.Stat_t)
		require.True(t, ok)
		fmt.Fprintln(&all, path, info.Mode(), stat.Ino, stat.Uid, stat.Gid, stat.Size, stat.Ctim) // a change of any kind is in ctime
		return nil
	}))
	return all.String()
}

func TestPrepare_GivesAnEmptyImageWhatProgramsExpect(t *testing.T) {
	i := newImage(t, nil)
	require.NoError(t, i.prepare())
	require.Equal(t, "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/bash\n", i.read(t, "/etc/passwd"))
	require.Equal(t, "root:x:0:\nuser:x:1000:\n", i.read(t, "/etc/group"))
	require.Equal(t, "root:*::0:99999:7:::\nuser:!::0:99999:7:::\n", i.read(t, "/etc/shadow"))
	require.NoFileExists(t, i.path("/etc/gshadow"))
	info, err := os.Stat(i.path("/etc/shadow"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, "nameserver 169.254.7.1\n", i.read(t, "/etc/resolv.conf"))
	require.Contains(t, i.read(t, "/etc/hosts"), "127.0.0.1\tlocalhost")
	require.Contains(t, i.read(t, "/etc/nsswitch.conf"), "hosts: files dns")
	for path, want := range map[string]os.FileMode{"/tmp": os.ModeDir | sticky, "/var/tmp": os.ModeDir | sticky, "/root": os.ModeDir | 0o700, "/home/user": os.ModeDir | 0o755} {
		info, err := os.Stat(i.path(path))
		require.NoError(t, err)
		require.Equal(t, want, info.Mode(), path)
	}
	for link, want := range map[string]string{"/bin/bash": bashStandIn, "/bin/sh": shStandIn} {
		target, err := os.Readlink(i.path(link))
		require.NoError(t, err)
		require.Equal(t, want, target)
	}
	require.True(t, i.report.Shell.StandIn)
	require.False(t, i.report.Sudo)
	require.Contains(t, strings.Join(i.report.Notes, "\n"), "no bash: /bin/bash is a stand-in")
}

func TestProvideUser_TakesTheNextIDAndKeepsEveryLine(t *testing.T) {
	passwd := "root:x:0:0:root:/root:/bin/ash\nnode:x:1000:1000:Linux User,,,:/home/node:/bin/sh\r\n# a comment\nbroken\n:::::\nhuge:x:99999999999:1:::"
	group := "root:x:0:root,bin\nnode:x:1000:node\nwheel:x:10:root\nother:x:1001:\nsudo:x:27:"
	i := newImage(t, map[string]string{"/etc/passwd": passwd, "/etc/group": group, "/etc/shadow": "root:*:::::::"})
	require.NoError(t, os.Chmod(i.path("/etc/shadow"), 0o640))
	require.NoError(t, os.Chown(i.path("/etc/shadow"), 0, 42))
	require.NoError(t, i.provideUser())
	require.Equal(t, User{Name: "user", UID: 1002, GID: 1002, Home: "/home/user", Made: true}, i.report.User)
	require.Equal(t, passwd+"\nuser:x:1002:1002::/home/user:/bin/bash\n", i.read(t, "/etc/passwd"))
	require.Equal(t, "root:x:0:root,bin\nnode:x:1000:node\nwheel:x:10:root,user\nother:x:1001:\nsudo:x:27:user\nuser:x:1002:\n", i.read(t, "/etc/group"))
	require.Equal(t, "root:*:::::::\nuser:!::0:99999:7:::\n", i.read(t, "/etc/shadow"))
	info, err := os.Stat(i.path("/etc/shadow"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())
	require.EqualValues(t, 42, info.Sys().(*syscall.Stat_t).Gid, "the group that may read it stays")
	require.Contains(t, strings.Join(i.report.Notes, "\n"), "user ID 1000 is taken in the image: user has 1002")
}

func TestProvideUser_UsesTheImagesUser(t *testing.T) {
	i := newImage(t, map[string]string{
		"/etc/passwd": "user:x:1234:55::/data:/bin/zsh\n", "/etc/group": "root:x:0:\nwheel:x:10:user\n", "/data/file": "kept",
	})
	require.NoError(t, i.provideUser())
	require.Equal(t, User{Name: "user", UID: 1234, GID: 55, Home: "/data"}, i.report.User)
	require.Equal(t, "user:x:1234:55::/data:/bin/zsh\n", i.read(t, "/etc/passwd"))
	require.Equal(t, "root:x:0:\nwheel:x:10:user\n", i.read(t, "/etc/group"))
	require.NoFileExists(t, i.path("/etc/shadow"))
}

func TestProvideUser_UsesAGroupOfItsName(t *testing.T) {
	i := newImage(t, map[string]string{"/etc/passwd": "root:x:0:0::/:\n", "/etc/group": "root:x:0:\nuser:x:777:\n"})
	require.NoError(t, i.provideUser())
	require.EqualValues(t, 1000, i.report.User.UID)
	require.EqualValues(t, 777, i.report.User.GID)
}

func TestProvideUser_RefusesWhatItCannotKeep(t *testing.T) {
	full := new(strings.Builder)
	for id := firstID; id <= lastID; id++ {
		fmt.Fprintf(full, "u%d:x:%d:1::/:\n", id, id)
	}
	for name, test := range map[string]struct{ file, content, want string }{
		"Large":     {"/etc/passwd", strings.Repeat("x", maxAccountsBytes+1), "longer than"},
		"Malformed": {"/etc/passwd", "user:x:abc:1::/:\n", "malformed"},
		"Short":     {"/etc/passwd", "user:x:1000\n", "malformed"},
		"Group":     {"/etc/group", "user:x:-1:\n", "malformed"},
		"Full":      {"/etc/passwd", full.String(), "are taken"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newImage(t, map[string]string{test.file: test.content})
			require.ErrorContains(t, i.provideUser(), test.want)
			require.Equal(t, test.content, i.read(t, test.file), "the file is as it was")
		})
	}
	i := newImage(t, nil)
	require.NoError(t, os.MkdirAll(i.path("/etc/passwd"), 0o755))
	require.ErrorContains(t, i.provideUser(), "not a regular file")
}

func TestProvideUser_WritesThroughALink(t *testing.T) {
	i := newImage(t, map[string]string{"/etc/static/passwd": "root:x:0:0::/:\n", "/etc/passwd": "->static/passwd"})
	require.NoError(t, i.provideUser())
	target, err := os.Readlink(i.path("/etc/passwd"))
	require.NoError(t, err)
	require.Equal(t, "static/passwd", target)
	require.Contains(t, i.read(t, "/etc/static/passwd"), "user:x:1000:")
}

func TestMakeHome_CopiesTheSkeletonWithinBounds(t *testing.T) {
	files := map[string]string{"/etc/skel/.profile": "profile", "/etc/skel/.config/a": "a", "/etc/skel/link": "->.profile"}
	files["/etc/skel/huge"] = strings.Repeat("x", maxSkeletonBytes+1)
	i := newImage(t, files)
	require.NoError(t, i.provideUser())
	require.Equal(t, "profile", i.read(t, "/home/user/.profile"))
	require.Equal(t, "a", i.read(t, "/home/user/.config/a"))
	require.NoFileExists(t, i.path("/home/user/huge"))
	info, err := os.Lstat(i.path("/home/user/link"))
	require.NoError(t, err)
	require.EqualValues(t, 1000, info.Sys().(*syscall.Stat_t).Uid)
}

func TestProvideShell_PrefersTheImagesOwn(t *testing.T) {
	for name, test := range map[string]struct {
		files    map[string]string
		bash, sh string // targets of links; empty for the image's own file
		found    string
	}{
		"InPlace":   {map[string]string{"/bin/bash": "x", "/bin/sh": "->bash"}, "", "bash", "/bin/bash"},
		"Elsewhere": {map[string]string{"/usr/local/bin/bash": "x", "/bin/sh": "x"}, "/usr/local/bin/bash", "", "/usr/local/bin/bash"},
		"OnlyBash":  {map[string]string{"/usr/bin/bash": "x"}, "/usr/bin/bash", "/usr/bin/bash", "/usr/bin/bash"},
		"OnlySh":    {map[string]string{"/bin/sh": "x"}, bashStandIn, "", ""},
		"Dangling":  {map[string]string{"/bin/bash": "->/no/bash", "/bin/sh": "->/no/sh"}, bashStandIn, shStandIn, ""},
		"Nothing":   {nil, bashStandIn, shStandIn, ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := newImage(t, test.files)
			require.NoError(t, i.provideShell())
			require.Equal(t, Shell{Bash: test.found, StandIn: test.found == ""}, i.report.Shell)
			for path, want := range map[string]string{bashPath: test.bash, shPath: test.sh} {
				target, err := os.Readlink(i.path(path))
				require.Equal(t, want != "", err == nil, "%s: %v", path, err)
				require.Equal(t, want, target)
			}
		})
	}
}

func TestAllowSudo_IncludesItsRuleOnce(t *testing.T) {
	for sudoers, want := range map[string]string{
		"root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n": "root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n",
		"#includedir /etc/sudoers.d":                       "#includedir /etc/sudoers.d",
		"root ALL=(ALL) ALL":                               "root ALL=(ALL) ALL\n#includedir /etc/sudoers.d\n",
		"":                                                 "root ALL=(ALL:ALL) ALL\n#includedir /etc/sudoers.d\n",
	} {
		i := newImage(t, map[string]string{"/usr/bin/sudo": "x", "/etc/sudoers": sudoers})
		for range 2 {
			require.NoError(t, i.allowSudo())
			require.Equal(t, want, i.read(t, "/etc/sudoers"))
			require.Equal(t, sudoRule, i.read(t, "/etc/sudoers.d/user"))
		}
	}
}

func TestOpenEdited_KeepsTheOldFileWhenTheNewCannotBeWritten(t *testing.T) {
	i := newImage(t, map[string]string{"/etc/passwd": "old"})
	file, err := openEdited(i.path("/etc/passwd"), 0o644, 10)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(i.path("/etc")))
	require.NoError(t, os.WriteFile(i.path("/etc"), nil, 0o644))
	require.Error(t, file.replace([]byte("new")))
}

func TestNamesLocalhost_ReadsHosts(t *testing.T) {
	require.True(t, namesLocalhost("127.0.0.1 host localhost # x"))
	require.False(t, namesLocalhost("# 127.0.0.1 localhost\n127.0.0.1 localhosts\n::1 localhost"))
}

func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0::/:\nuser:x", "root:x:0:\nwheel:x:10:a,,b\n")
	f.Fuzz(func(t *testing.T, passwd, group string) {
		split := func(text string) *accounts {
			return &accounts{lines: strings.SplitAfter(strings.TrimSuffix(text, "\n")+"\n", "\n")}
		}
		d := database{passwd: split(passwd), group: split(group), shadow: split(""), gshadow: split("")}
		if _, found, err := d.findUser(); err != nil || found {
			return
		}
		user, err := d.addUser()
		if err != nil {
			return
		}
		again, found, err := d.findUser()
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, user.UID, again.UID)
		require.True(t, strings.HasPrefix(strings.Join(d.passwd.lines, ""), strings.TrimSuffix(passwd, "\n")), "what was there is kept")
	})
}

package imagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"
)

// part reads a file that Prepare has fetched.
func part(t testing.TB, name string) []byte {
	t.Helper()
	directory := os.Getenv(Variable)
	require.NotEmpty(t, directory, "TestMain has to prepare images: imagetest.Prepare")
	content, err := os.ReadFile(filepath.Join(directory, name))
	require.NoError(t, err)
	return content
}

// Debian is a Debian without an init, with bash, useradd and sudo.
func Debian(t testing.TB) v1.Image { return debian(t, MinimalDebian) }

// DebianSystemd is a Debian whose /sbin/init is systemd.
func DebianSystemd(t testing.TB) v1.Image { return debian(t, SystemdDebian) }

func debian(t testing.TB, name Part) v1.Image {
	t.Helper()
	image, err := ReadDebian(os.Getenv(Variable), name)
	require.NoError(t, err, "TestMain has to prepare images: imagetest.Prepare")
	return image
}

// ReadDebian makes an image of what Prepare has fetched into a directory.
func ReadDebian(directory string, name Part) (v1.Image, error) {
	sum, err := os.ReadFile(filepath.Join(directory, string(name)+diffIDFile))
	if err != nil {
		return nil, err
	}
	diffID, err := v1.NewHash("sha256:" + string(sum))
	if err != nil {
		return nil, err
	}
	packed, err := os.ReadFile(filepath.Join(directory, string(name)+packedFile))
	if err != nil {
		return nil, err
	}
	return imageFor(usualPlatform, v1.Config{Cmd: []string{"bash"}, Env: []string{path}}, layer{static.NewLayer(packed, types.OCILayerZStd), diffID})
}

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// applets are the programs that images of busybox have.
var applets = []string{
	"sh", "ls", "cat", "echo", "id", "mkdir", "rm", "cp", "mv", "ln", "chmod", "chown", "ps", "sleep", "test", "true", "false", "env",
	"grep", "sed", "awk", "head", "tail", "wc", "find", "touch", "stat", "date", "tr", "cut", "sort", "mount", "umount", "df", "hostname",
	"httpd", "wget", "nc", "vi", "tar", "gzip", "uname", "whoami", "kill", "pwd", "printf", "readlink", "dd", "sync", "which",
}

// busybox is busybox in a directory, with links for its applets.
func busybox(t testing.TB, directory string) []Entry {
	t.Helper()
	entries := []Entry{File(directory+"/busybox", 0o755, string(part(t, busyboxFile)))}
	for _, applet := range applets {
		entries = append(entries, Symlink(directory+"/"+applet, "busybox"))
	}
	return entries
}

// passwd has root and a usual number of others, and who is given besides.
func passwd(users ...string) []Entry {
	lines, groups := []string{"root:x:0:0:root:/root:/bin/sh", "nobody:x:65534:65534:nobody:/:/sbin/nologin"}, []string{"root:x:0:", "nogroup:x:65534:"}
	for _, user := range users {
		lines = append(lines, user)
		fields := strings.Split(user, ":")
		groups = append(groups, fields[0]+":x:"+fields[3]+":")
	}
	return []Entry{
		Directory("etc"), File("etc/passwd", 0o644, strings.Join(lines, "\n")+"\n"), File("etc/group", 0o644, strings.Join(groups, "\n")+"\n"),
	}
}

// usual are directories that nearly every image has.
func usual() []Entry {
	temporary := Directory("tmp")
	temporary.Mode = 0o1777
	return []Entry{Directory("dev"), Directory("proc"), Directory("sys"), Directory("run"), Directory("root"), Directory("home"), Directory("var"), temporary}
}

// compose is an image of one gzipped layer.
func compose(t testing.TB, config v1.Config, parts ...[]Entry) v1.Image {
	t.Helper()
	var all []Entry
	for _, one := range parts {
		all = append(all, one...)
	}
	return Image(t, config, Layer(t, Gzip, Archive(t, all...)))
}

var shell = v1.Config{Cmd: []string{"/bin/sh"}, Env: []string{path}}

// Musl is a system of musl and busybox, without bash, sudo and useradd, as Alpine is.
func Musl(t testing.TB) v1.Image {
	t.Helper()
	library := []Entry{Directory("lib"), File("lib/ld-musl-x86_64.so.1", 0o755, string(part(t, muslFile)))}
	release := []Entry{File("etc/os-release", 0o644, "ID=musl\nNAME=\"Musl and busybox\"\n")}
	return compose(t, shell, usual(), passwd(), []Entry{Directory("bin")}, busybox(t, "bin"), library, release)
}

// Static is one static program on nothing: no shell, no /etc, no directories.
func Static(t testing.TB) v1.Image {
	t.Helper()
	return compose(t, v1.Config{Entrypoint: []string{"/app", "sleep"}, Cmd: []string{"1000000"}},
		[]Entry{File("busybox", 0o755, string(part(t, busyboxFile))), Symlink("app", "busybox")})
}

// NoPasswd has programs, and no /etc/passwd.
func NoPasswd(t testing.TB) v1.Image {
	t.Helper()
	return compose(t, shell, usual(), []Entry{Directory("bin")}, busybox(t, "bin"))
}

// NoTmp has no /tmp, nor any of the directories that the kernel's file systems are mounted
// at.
func NoTmp(t testing.TB) v1.Image {
	t.Helper()
	return compose(t, shell, passwd(), []Entry{Directory("bin")}, busybox(t, "bin"))
}

// SplitUsr has a /bin and a /sbin that are not merged into /usr, each with programs.
func SplitUsr(t testing.TB) v1.Image {
	t.Helper()
	return compose(t, shell, usual(), passwd(), []Entry{Directory("bin"), Directory("sbin"), Directory("usr/bin"), Directory("usr/sbin")}, busybox(t, "bin"),
		[]Entry{Symlink("usr/bin/only-here", "../../bin/busybox"), Link("sbin/busybox", "bin/busybox")})
}

// MergedUsr has a /bin that is a link to usr/bin.
func MergedUsr(t testing.TB) v1.Image {
	t.Helper()
	return compose(t, shell, usual(), passwd(), []Entry{Directory("usr/bin"), Symlink("bin", "usr/bin"), Symlink("sbin", "usr/bin")}, busybox(t, "usr/bin"))
}

// TakenUser has a user whose ID is 1000.
func TakenUser(t testing.TB) v1.Image {
	t.Helper()
	return compose(t, shell, usual(), passwd("node:x:1000:1000:node:/home/node:/bin/sh"), Owned(1000, 1000, Directory("home/node")),
		[]Entry{Directory("bin")}, busybox(t, "bin"))
}

// Entrypoint runs a script as a user in a directory. The script writes who it is, where,
// and its arguments to /srv/app/ran, and stays.
func Entrypoint(t testing.TB) v1.Image {
	t.Helper()
	config := v1.Config{
		User: "app:web", WorkingDir: "/srv/app", Entrypoint: []string{"/entrypoint"}, Cmd: []string{"serve", "two words"},
		Env: []string{path, "GREETING=hello world"}, ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD-SHELL", "test -f /srv/app/ran"}},
	}
	script := "#!/bin/sh\n{ id -un; id -gn; pwd; echo \"$GREETING\"; for a in \"$@\"; do echo \"$a\"; done; } > ran\nexec sleep 1000000\n"
	return compose(t, config, usual(), passwd("app:x:100:101:app:/srv/app:/bin/sh", "web:x:101:101:web:/srv:/bin/sh"),
		[]Entry{Directory("srv")}, Owned(100, 101, Directory("srv/app")), []Entry{File("entrypoint", 0o755, script), Directory("bin")}, busybox(t, "bin"))
}

// layerCount is how many layers ManyLayers has.
const layerCount = 60

// ManyLayers has 60 layers, packed in each way by turns. Layer n puts files/n there and
// removes what layer n-2 has put there; files/59 and files/60 are left, and log, which
// has been replaced by each layer, ends with 60. Layer 30 empties the directory opaque,
// into which layer 31 puts new.
func ManyLayers(t testing.TB) v1.Image {
	t.Helper()
	base := append(append(usual(), passwd()...), Directory("bin"))
	base = append(append(base, busybox(t, "bin")...), Directory("files"), Directory("opaque"), File("opaque/old", 0o644, "old"))
	layers := []v1.Layer{Layer(t, Gzip, Archive(t, append(base, File("files/1", 0o644, "1"))...))}
	packings := []Packing{Zstd, Gzip, Plain}
	for n := 2; n <= layerCount; n++ {
		entries := []Entry{File(fmt.Sprintf("files/%d", n), 0o644, fmt.Sprint(n)), File("log", 0o644, fmt.Sprint(n))}
		if n > 2 {
			entries = append(entries, File(fmt.Sprintf("files/.wh.%d", n-2), 0, ""))
		}
		switch n {
		case layerCount / 2:
			entries = append(entries, File("opaque/.wh..wh..opq", 0, ""))
		case layerCount/2 + 1:
			entries = append(entries, File("opaque/new", 0o644, "new"))
		}
		layers = append(layers, Layer(t, packings[n%len(packings)], Archive(t, entries...)))
	}
	return Image(t, shell, layers...)
}

// MultiPlatform is an index of an image of busybox for linux/amd64 and others that have
// nothing.
func MultiPlatform(t testing.TB) v1.ImageIndex {
	t.Helper()
	others := map[string]v1.Image{"linux/amd64": Musl(t)}
	for _, platform := range []string{"linux/arm64/v8", "windows/amd64"} {
		parsed, err := v1.ParsePlatform(platform)
		require.NoError(t, err)
		others[platform] = ImageFor(t, *parsed, v1.Config{})
	}
	return Index(t, others)
}

// Small are the images of busybox by name, which need only Busybox prepared.
func Small(t testing.TB) map[string]v1.Image {
	t.Helper()
	return map[string]v1.Image{
		"musl": Musl(t), "static": Static(t), "no-passwd": NoPasswd(t), "no-tmp": NoTmp(t), "split-usr": SplitUsr(t), "merged-usr": MergedUsr(t),
		"taken-user": TakenUser(t), "entrypoint": Entrypoint(t), "many-layers": ManyLayers(t),
	}
}

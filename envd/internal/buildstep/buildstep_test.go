package buildstep

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"
)

// file is an entry of an archive: a directory if the name ends with /, a link if it has a
// target.
type file struct {
	name, content, link string
	mode                int64
}

func archiveOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), Typeflag: tar.TypeReg, ModTime: time.Unix(1e9, 0)}
		if f.mode != 0 {
			header.Mode = f.mode
		}
		switch {
		case strings.HasSuffix(f.name, "/"):
			header.Typeflag, header.Mode = tar.TypeDir, 0o755
		case strings.HasPrefix(f.link, "hard:"):
			header.Typeflag, header.Linkname = tar.TypeLink, strings.TrimPrefix(f.link, "hard:")
		case f.link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, f.link
		}
		require.NoError(t, archive.WriteHeader(header))
		_, err := archive.Write([]byte(f.content))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	return out.Bytes()
}

func zipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	_, err := zip.Write(content)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	return out.Bytes()
}

// tree is what a directory holds: contents of files, targets of links, "/" for directories.
func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		name, err := filepath.Rel(root, path)
		require.NoError(t, err)
		switch {
		case name == ".":
		case entry.IsDir():
			found[name] = "/"
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			require.NoError(t, err)
			found[name] = "-> " + target
		default:
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			found[name] = string(content)
		}
		return nil
	}))
	return found
}

func requireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives files to users")
	}
}

// do runs the program on a request.
func do(t testing.TB, request Request, stdin []byte) (Result, []byte) {
	t.Helper()
	encoded, err := json.Marshal(request)
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	status := Main(context.Background(), []string{string(encoded)}, bytes.NewReader(stdin), &stdout, &stderr)
	var result Result
	require.NoError(t, json.Unmarshal(stderr.Bytes(), &result), stderr.String())
	require.Equal(t, result.Failure != nil, status != 0)
	return result, stdout.Bytes()
}

func TestCopy_PutsFilesWhereDockerfilesSay(t *testing.T) {
	requireRoot(t)
	upload := []file{
		{name: "app.py", content: "app"},
		{name: "b.py", content: "b"},
		{name: "src/"},
		{name: "src/main.go", content: "main"},
		{name: "src/sub/deep.go", content: "deep"},
		{name: "src/link", link: "main.go"},
		{name: "src/hard", link: "hard:src/main.go"},
	}
	for name, test := range map[string]struct {
		sources     []string
		destination string
		before      []string // files and, with a slash, directories that are there
		want        map[string]string
	}{
		"a file to a name":         {[]string{"app.py"}, "new/name", nil, map[string]string{"new": "/", "new/name": "app"}},
		"a file into a directory":  {[]string{"./app.py"}, "new/", nil, map[string]string{"new": "/", "new/app.py": "app"}},
		"a file into one there":    {[]string{"app.py"}, "dir", []string{"dir/"}, map[string]string{"dir": "/", "dir/app.py": "app"}},
		"a file over another":      {[]string{"app.py"}, "old", []string{"old"}, map[string]string{"old": "app"}},
		"a directory's content":    {[]string{"src"}, "to", nil, map[string]string{"to": "/", "to/main.go": "main", "to/sub": "/", "to/sub/deep.go": "deep", "to/link": "-> main.go", "to/hard": "main"}},
		"a directory into another": {[]string{"src/"}, "to/", []string{"to/kept"}, map[string]string{"to": "/", "to/kept": "", "to/main.go": "main", "to/sub": "/", "to/sub/deep.go": "deep", "to/link": "-> main.go", "to/hard": "main"}},
		"a directory below":        {[]string{"src/sub"}, "to", nil, map[string]string{"to": "/", "to/deep.go": "deep"}},
		"several files":            {[]string{"app.py", "b.py"}, "to/", nil, map[string]string{"to": "/", "to/app.py": "app", "to/b.py": "b"}},
		"a pattern":                {[]string{"*.py"}, "to/", nil, map[string]string{"to": "/", "to/app.py": "app", "to/b.py": "b"}},
		"a pattern across":         {[]string{"**/*.go"}, "to/", nil, map[string]string{"to": "/", "to/main.go": "main", "to/deep.go": "deep"}},
		"everything":               {[]string{"."}, "to", nil, map[string]string{"to": "/", "to/app.py": "app", "to/b.py": "b", "to/src": "/", "to/src/main.go": "main", "to/src/sub": "/", "to/src/sub/deep.go": "deep", "to/src/link": "-> main.go", "to/src/hard": "main"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, path := range test.before {
				require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755))
				if strings.HasSuffix(path, "/") {
					require.NoError(t, os.MkdirAll(filepath.Join(root, path), 0o755))
					continue
				}
				require.NoError(t, os.WriteFile(filepath.Join(root, path), nil, 0o644))
			}
			for _, content := range [][]byte{archiveOf(t, upload...), zipped(t, archiveOf(t, upload...))} {
				result, _ := do(t, Request{Copy: &Copy{Sources: test.sources, Destination: root + "/" + test.destination, Owner: "root"}}, content)
				require.Nil(t, result.Failure)
				require.Equal(t, test.want, tree(t, root))
			}
		})
	}
}

func TestCopy_GivesFilesToTheOwnerWithTheMode(t *testing.T) {
	requireRoot(t)
	root := t.TempDir()
	upload := archiveOf(t, file{name: "bin", content: "x", mode: 0o4755}, file{name: "dir/"}, file{name: "dir/file", content: "y"})
	result, _ := do(t, Request{Copy: &Copy{Sources: []string{"."}, Destination: root + "/to", Owner: "1234:5678"}}, upload)
	require.Nil(t, result.Failure)
	info, err := os.Stat(root + "/to/bin")
	require.NoError(t, err)
	require.Equal(t, fs.ModeSetuid|0o755, info.Mode())
	require.Equal(t, time.Unix(1e9, 0), info.ModTime())
	for _, name := range []string{"to", "to/bin", "to/dir", "to/dir/file"} {
		uid, gid, ok := ownerOf(filepath.Join(root, name))
		require.True(t, ok)
		require.Equal(t, [2]int{1234, 5678}, [2]int{uid, gid}, name)
	}
	result, _ = do(t, Request{Copy: &Copy{Sources: []string{"dir"}, Destination: root + "/other", Owner: "root", Mode: "640"}}, upload)
	require.Nil(t, result.Failure)
	info, err = os.Stat(root + "/other/file")
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode())
}

func TestCopy_WritesATextAndUnpacksArchives(t *testing.T) {
	requireRoot(t)
	root := t.TempDir()
	result, _ := do(t, Request{Copy: &Copy{Destination: root + "/text", Owner: "root", Content: true, Mode: "0755"}}, []byte("#!/bin/sh\n"))
	require.Nil(t, result.Failure)
	inner := archiveOf(t, file{name: "inner/file", content: "deep"})
	upload := archiveOf(t, file{name: "a.tar.gz", content: string(zipped(t, inner))}, file{name: "plain", content: "plain"}, file{name: "data.gz", content: "not gzip"})
	result, _ = do(t, Request{Copy: &Copy{Sources: []string{"a.tar.gz", "plain", "data.gz"}, Destination: root + "/to/", Owner: "root", Extract: true}}, upload)
	require.Nil(t, result.Failure)
	require.Equal(t, map[string]string{"text": "#!/bin/sh\n", "to": "/", "to/inner": "/", "to/inner/file": "deep", "to/plain": "plain", "to/data.gz": "not gzip"}, tree(t, root))
}

func TestCopy_RefusesWhatIsBrokenOrMissingAndSaysWhy(t *testing.T) {
	requireRoot(t)
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(root+"/directory", 0o755))
	good := archiveOf(t, file{name: "a", content: "a"}, file{name: "b", content: "b"})
	huge := &bytes.Buffer{}
	archive := tar.NewWriter(huge)
	require.NoError(t, archive.WriteHeader(&tar.Header{Name: "a", Size: 1 << 60, Mode: 0o644, Format: tar.FormatPAX}))
	for name, test := range map[string]struct {
		copy    Copy
		content []byte
		code    string
		message string
	}{
		"a missing source":      {Copy{Sources: []string{"c"}, Destination: root + "/x", Owner: "root"}, good, codeMissing, `"c" was not found`},
		"no archive":            {Copy{Sources: []string{"a"}, Destination: root + "/x", Owner: "root"}, []byte("no archive, just text that is long enough"), codeOther, "the upload is broken"},
		"half an archive":       {Copy{Sources: []string{"a"}, Destination: root + "/x", Owner: "root"}, zipped(t, good)[:20], codeOther, "the upload is broken"},
		"an unknown owner":      {Copy{Sources: []string{"a"}, Destination: root + "/x", Owner: "nobody-at-all"}, good, codeOther, `user "nobody-at-all"`},
		"two files for one":     {Copy{Sources: []string{"[ab]"}, Destination: root + "/one", Owner: "root"}, good, codeOther, "has to end with /"},
		"a file for a folder":   {Copy{Sources: []string{"."}, Destination: root + "/", Owner: "root"}, archiveOf(t, file{name: "directory", content: "x"}), codeOther, "is a directory"},
		"a link to what is not": {Copy{Sources: []string{"."}, Destination: root + "/", Owner: "root"}, archiveOf(t, file{name: "l", link: "hard:../../etc/shadow"}), codeOther, "is not copied"},
		"a file without end":    {Copy{Sources: []string{"a"}, Destination: root + "/x", Owner: "root"}, huge.Bytes(), codeNoSpace, "no space left"},
	} {
		result, _ := do(t, Request{Copy: &test.copy}, test.content)
		require.NotNil(t, result.Failure, name)
		require.Equal(t, test.code, result.Failure.Code, name)
		require.Contains(t, result.Failure.Message, test.message, name)
	}
	require.NoFileExists(t, root+"/l")
}

func TestCopy_StaysBelowTheDestinationWhateverNamesSay(t *testing.T) {
	requireRoot(t)
	root := t.TempDir()
	upload := archiveOf(t, file{name: "../../outside", content: "x"}, file{name: "/absolute", content: "y"}, file{name: "a/../../b", content: "z"})
	result, _ := do(t, Request{Copy: &Copy{Sources: []string{"."}, Destination: root + "/to", Owner: "root"}}, upload)
	require.Nil(t, result.Failure)
	require.Equal(t, map[string]string{"to": "/", "to/outside": "x", "to/absolute": "y", "to/b": "z"}, tree(t, root))
}

func TestPack_WritesWhatCopyUnpacksAndADigestOfIt(t *testing.T) {
	requireRoot(t)
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(root+"/from/sub", 0o750))
	require.NoError(t, os.WriteFile(root+"/from/file", []byte("one"), 0o600))
	require.NoError(t, os.WriteFile(root+"/from/sub/deep", []byte("two"), 0o755))
	require.NoError(t, os.Symlink("file", root+"/from/link"))
	require.NoError(t, os.Symlink("from", root+"/named"))
	packed, archive := do(t, Request{Pack: &Pack{Sources: []string{root + "/from"}}}, nil)
	require.Nil(t, packed.Failure)
	result, _ := do(t, Request{Copy: &Copy{Sources: []string{root + "/from"}, Destination: root + "/to", Owner: "root"}}, archive)
	require.Nil(t, result.Failure)
	require.Equal(t, tree(t, root+"/from"), tree(t, root+"/to"))
	_, followed := do(t, Request{Pack: &Pack{Sources: []string{root + "/named"}}}, nil)
	result, _ = do(t, Request{Copy: &Copy{Sources: []string{root + "/named"}, Destination: root + "/third", Owner: "root"}}, followed)
	require.Nil(t, result.Failure)
	require.Equal(t, tree(t, root+"/from"), tree(t, root+"/third"), "a link that is named is followed")

	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(root+"/from/file", later, later))
	require.NoError(t, os.Chown(root+"/from/file", 1, 1))
	again, _ := do(t, Request{Pack: &Pack{Sources: []string{root + "/from"}, DigestOnly: true}}, nil)
	require.Equal(t, packed.Digest, again.Digest, "times and owners do not matter")
	require.NoError(t, os.WriteFile(root+"/from/file", []byte("new"), 0o600))
	other, _ := do(t, Request{Pack: &Pack{Sources: []string{root + "/from"}}}, nil)
	require.NotEqual(t, packed.Digest, other.Digest)
	missing, _ := do(t, Request{Pack: &Pack{Sources: []string{root + "/none*"}}}, nil)
	require.Equal(t, codeMissing, missing.Failure.Code)
}

func TestCopy_UnpacksWhatIsCompressedInAnyWay(t *testing.T) {
	requireRoot(t)
	inner := archiveOf(t, file{name: "inner/file", content: strings.Repeat("deep ", 1<<16)})
	compress := func(open func(io.Writer) (io.WriteCloser, error), content []byte) string {
		var out bytes.Buffer
		writer, err := open(&out)
		require.NoError(t, err)
		_, err = writer.Write(content)
		require.NoError(t, err)
		require.NoError(t, writer.Close())
		return out.String()
	}
	asXZ := func(to io.Writer) (io.WriteCloser, error) { return xz.NewWriter(to) }
	asZstd := func(to io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(to) }
	extract := func(root, content string) Result {
		upload := archiveOf(t, file{name: "a", content: content})
		result, _ := do(t, Request{Copy: &Copy{Sources: []string{"a"}, Destination: root + "/to/", Owner: "root", Extract: true}}, upload)
		return result
	}
	for name, content := range map[string]string{
		"xz": compress(asXZ, inner), "zstd": compress(asZstd, inner), "gzip": string(zipped(t, inner)), "none": string(inner),
	} {
		root := t.TempDir()
		require.Nil(t, extract(root, content).Failure, name)
		require.Equal(t, strings.Repeat("deep ", 1<<16), tree(t, root)["to/inner/file"], name)
	}
	for name, c := range map[string]struct{ content, message string }{
		"no archive":     {compress(asXZ, []byte("text")), "no tar archive"},
		"half of one":    {compress(asXZ, inner)[:100], ""},
		"a broken one":   {compress(asZstd, inner)[:60], ""},
		"a great window": {string(zstdMagic) + "\x00\xf8" + strings.Repeat("x", 300), "window size exceeded"},
	} {
		result := extract(t.TempDir(), c.content)
		require.NotNil(t, result.Failure, name)
		require.Contains(t, result.Failure.Message, c.message, name)
	}
	root := t.TempDir()
	almost := "\x1f\x8b begins as gzip and is none" + strings.Repeat(".", 1<<17)
	require.Nil(t, extract(root, almost).Failure)
	require.Equal(t, almost, tree(t, root)["to/a"], "nothing of it is lost")
}

// A directory with a default access control list gives each new file entries of it, which
// no mode shows.
func TestCopy_GivesFilesTheModeThatAStepNamesAndNoMore(t *testing.T) {
	requireRoot(t)
	root := t.TempDir()
	// Version 2; user::rwx, user 4242 rwx, group::rwx, mask::rwx, other::rwx. Source: acl(5),
	// include/uapi/linux/posix_acl_xattr.h.
	list := []byte{2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 0x92, 0x10, 0, 0, 4, 0, 7, 0, 255, 255, 255, 255, 0x10, 0, 7, 0, 255, 255, 255, 255, 0x20, 0, 7, 0, 255, 255, 255, 255}
	if err := unix.Setxattr(root, "system.posix_acl_default", list, 0); err != nil {
		t.Skipf("the file system of %s has no access control lists: %v", root, err)
	}
	upload := archiveOf(t, file{name: "d/a", content: "a"})
	has := func(path string) bool {
		_, err := unix.Lgetxattr(path, "system.posix_acl_access", make([]byte, 256))
		return err == nil
	}
	result, _ := do(t, Request{Copy: &Copy{Sources: []string{"d"}, Destination: root + "/own", Owner: "root"}}, upload)
	require.Nil(t, result.Failure)
	require.True(t, has(root+"/own/a"), "without a mode the directory's list holds")
	result, _ = do(t, Request{Copy: &Copy{Sources: []string{"d"}, Destination: root + "/set", Owner: "root", Mode: "0640"}}, upload)
	require.Nil(t, result.Failure)
	require.False(t, has(root+"/set/a"))
	info, err := os.Stat(root + "/set/a")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())
}

func TestCheckURL_SeesWhetherThereIsSomethingElse(t *testing.T) {
	requireRoot(t)
	content, tag := "one", `"1"`
	full := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tag != "" {
			w.Header().Set("ETag", tag)
			if r.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		full++
		_, _ = io.WriteString(w, content)
	}))
	t.Cleanup(server.Close)
	root := t.TempDir()
	first, _ := do(t, Request{Download: &Download{URL: server.URL + "/a", Destination: root + "/a", Owner: "root"}}, nil)
	require.Nil(t, first.Failure)
	require.Equal(t, tag, first.ETag)
	check := func() Result {
		seen, _ := do(t, Request{CheckURL: &CheckURL{URL: server.URL + "/a", SHA256: first.Digest, ETag: first.ETag, LastModified: first.LastModified}}, nil)
		require.Nil(t, seen.Failure)
		return seen
	}
	require.False(t, check().Changed)
	require.Equal(t, 1, full, "the server has said that it is the same")
	tag = ""
	require.False(t, check().Changed, "the content is the same")
	content = "two"
	changed := check()
	require.True(t, changed.Changed)
	require.NotEqual(t, first.Digest, changed.Digest)
	server.Close()
	gone, _ := do(t, Request{CheckURL: &CheckURL{URL: server.URL + "/a", SHA256: first.Digest}}, nil)
	require.Contains(t, gone.Failure.Message, "download")
}

func TestDownload_ChecksTheHashBeforeTheFileIsThere(t *testing.T) {
	requireRoot(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "content")
	}))
	t.Cleanup(server.Close)
	bundle := fmt.Appendf(nil, "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n", encode(server.Certificate().Raw))
	sum := sha256.Sum256([]byte("content"))
	root := t.TempDir()
	good := Download{URL: server.URL + "/dir/tool", Destination: root + "/bin/", Owner: "root", Mode: "755", SHA256: hex.EncodeToString(sum[:])}
	result, _ := do(t, Request{Download: &good}, bundle)
	require.Nil(t, result.Failure)
	require.Equal(t, map[string]string{"bin": "/", "bin/tool": "content"}, tree(t, root))
	for code, broken := range map[string]Download{
		codeMismatch: {URL: good.URL, Destination: root + "/other", Owner: "root", SHA256: strings.Repeat("0", 64)},
		codeOther:    {URL: server.URL + "/none", Destination: root + "/other", Owner: "root"},
	} {
		result, _ := do(t, Request{Download: &broken}, bundle)
		require.Equal(t, code, result.Failure.Code)
	}
	untrusted, _ := do(t, Request{Download: &good}, nil)
	require.Contains(t, untrusted.Failure.Message, "certificate")
	require.Len(t, tree(t, root), 2)
}

func encode(raw []byte) string {
	encoded, _ := json.Marshal(raw)
	return strings.Trim(string(encoded), `"`)
}

// accounts makes files of users of the test's own.
func accounts(t *testing.T) string {
	t.Helper()
	requireRoot(t)
	root := t.TempDir()
	for variable, name := range map[*string]string{&passwdFile: "passwd", &groupFile: "group", &shadowFile: "shadow", &sudoersFiles: "sudoers.d", &homes: "home"} {
		before := *variable
		*variable = filepath.Join(root, name)
		t.Cleanup(func() { *variable = before })
	}
	require.NoError(t, os.Mkdir(sudoersFiles, 0o755))
	require.NoError(t, os.WriteFile(passwdFile, []byte("root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh"), 0o644))
	require.NoError(t, os.WriteFile(groupFile, []byte("root:x:0:\nnode:x:1000:\nwww:x:33:\n"), 0o644))
	require.NoError(t, os.WriteFile(shadowFile, []byte("root:*:::::::\n"), 0o640))
	return root
}

func TestUser_IsFoundOrMade(t *testing.T) {
	root := accounts(t)
	found, _ := do(t, Request{User: &User{Name: "node"}}, nil)
	require.Equal(t, Result{Name: "node", Home: "/home/node"}, found)
	byNumber, _ := do(t, Request{User: &User{Name: "1000"}}, nil)
	require.Equal(t, "node", byNumber.Name)
	made, _ := do(t, Request{User: &User{Name: "worker", Sudo: true}}, nil)
	require.Equal(t, Result{Changed: true, Name: "worker", Home: root + "/home/worker"}, made)
	again, _ := do(t, Request{User: &User{Name: "worker", Sudo: true}}, nil)
	require.False(t, again.Changed)
	numbered, _ := do(t, Request{User: &User{Name: "4000:www"}}, nil)
	require.Equal(t, Result{Changed: true, Name: "user4000:www", Home: root + "/home/user4000"}, numbered)
	grouped, _ := do(t, Request{User: &User{Name: "node:33"}}, nil)
	require.Equal(t, Result{Name: "node:33", Home: "/home/node"}, grouped)
	newGroup, _ := do(t, Request{User: &User{Name: "node:crew"}}, nil)
	require.Equal(t, Result{Changed: true, Name: "node:crew", Home: "/home/node"}, newGroup)
	content, err := os.ReadFile(passwdFile)
	require.NoError(t, err)
	require.Equal(t, "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n"+
		"worker:x:1001:1001::"+root+"/home/worker:/bin/bash\nuser4000:x:4000:4000::"+root+"/home/user4000:/bin/bash\n", string(content))
	sudoers, err := os.ReadFile(filepath.Join(sudoersFiles, "worker"))
	require.NoError(t, err)
	require.Equal(t, "worker ALL=(ALL:ALL) NOPASSWD: ALL\n", string(sudoers))
	uid, _, _ := ownerOf(root + "/home/worker")
	require.Equal(t, 1001, uid)
	for _, name := range []string{"missing", "a:b:c", "node:", "new user", "-x", "x\ny"} {
		refused, _ := do(t, Request{User: &User{Name: name, MustExist: name == "missing"}}, nil)
		require.NotNil(t, refused.Failure, name)
	}
}

func TestWorkdir_IsMadeWithItsParentsForTheOwner(t *testing.T) {
	accounts(t)
	root := t.TempDir()
	made, _ := do(t, Request{Workdir: &Workdir{Path: root + "/a/b", Owner: "node"}}, nil)
	require.True(t, made.Changed)
	uid, gid, _ := ownerOf(root + "/a")
	require.Equal(t, [2]int{1000, 1000}, [2]int{uid, gid})
	again, _ := do(t, Request{Workdir: &Workdir{Path: root + "/a/b", Owner: "node"}}, nil)
	require.Equal(t, Result{}, again)
	require.NoError(t, os.WriteFile(root+"/file", nil, 0o644))
	refused, _ := do(t, Request{Workdir: &Workdir{Path: root + "/file/below", Owner: "node"}}, nil)
	require.Contains(t, refused.Failure.Message, "not a directory")
}

func TestProfile_SetsPathForLoginShellsAndQuotesIt(t *testing.T) {
	root := t.TempDir()
	for variable, name := range map[*string]string{&profileFile: "profile", &pathFile: "profile.d/00-wrenn-path.sh"} {
		before := *variable
		*variable = filepath.Join(root, name)
		t.Cleanup(func() { *variable = before })
	}
	without, _ := do(t, Request{Profile: &Profile{Path: "/opt/bin"}}, nil)
	require.Equal(t, Result{}, without, "a shell without /etc/profile keeps PATH")
	require.NoError(t, os.WriteFile(profileFile, nil, 0o644))
	const value = "/opt/it's $HOME/bin:/bin"
	set, _ := do(t, Request{Profile: &Profile{Path: value}}, nil)
	require.Equal(t, Result{Changed: true}, set)
	again, _ := do(t, Request{Profile: &Profile{Path: value}}, nil)
	require.Equal(t, Result{}, again)
	output, err := exec.CommandContext(t.Context(), "sh", "-c", ". "+pathFile+"; echo \"$PATH\"").Output()
	require.NoError(t, err)
	require.Equal(t, value+"\n", string(output))
	removed, _ := do(t, Request{Profile: &Profile{}}, nil)
	require.Equal(t, Result{Changed: true}, removed)
	require.NoFileExists(t, pathFile)
}

func TestSecret_IsInMemoryAndGoneAfterwards(t *testing.T) {
	requireRoot(t)
	root := t.TempDir()
	path := root + "/run/secret"
	mounted, _ := do(t, Request{MountSecret: &MountSecret{Path: path, Owner: "1234"}}, []byte("hunter2"))
	require.Nil(t, mounted.Failure)
	t.Cleanup(func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) })
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(content))
	var stat syscall.Statfs_t
	require.NoError(t, syscall.Statfs(path, &stat))
	require.Equal(t, int64(0x01021994), stat.Type, "it is on a tmpfs")
	taken, _ := do(t, Request{MountSecret: &MountSecret{Path: path, Owner: "root"}}, []byte("other"))
	require.Contains(t, taken.Failure.Message, "a file is there")
	unmounted, _ := do(t, Request{UnmountSecrets: &UnmountSecrets{Paths: []string{path, root + "/never"}}}, nil)
	require.Nil(t, unmounted.Failure)
	require.NoFileExists(t, path)
}

func FuzzSource(f *testing.F) {
	f.Add("**/*.[ch]", "a/b.c")
	f.Add("{a,b", "a")
	f.Add("[!", "x")
	f.Add("{", "/")
	f.Add("**/*.[ch]", "a.c/")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		s, err := newSource(pattern)
		name = strings.TrimPrefix(path.Clean("/"+name), "/") // as names of archives are
		if err != nil || name == "" {
			return
		}
		if matched, below, ok := s.match(name); ok && s.text != "." {
			require.Equal(t, name, strings.TrimSuffix(matched+"/"+below, "/"))
		}
	})
}

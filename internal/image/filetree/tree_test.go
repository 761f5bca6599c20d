package filetree_test

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// newTree returns a tree that notes which contents are released.
func newTree(t *testing.T) (tree *filetree.Tree, released *[]uint32) {
	t.Helper()
	released = new([]uint32)
	tree = filetree.New(filetree.Limits{Entries: 1000}, func(extents []filetree.Extent) {
		for _, extent := range extents {
			*released = append(*released, extent.Block)
		}
	})
	tree.BeginLayer()
	return tree, released
}

// file is a file whose content is a block.
func file(block uint32) *filetree.Node {
	return &filetree.Node{Mode: unix.S_IFREG | 0o644, Size: 1, Extents: []filetree.Extent{{Block: block, Count: 1}}}
}

func directory(mode uint32) *filetree.Node { return &filetree.Node{Mode: unix.S_IFDIR | mode} }

func symlink(target string) *filetree.Node {
	return &filetree.Node{Mode: unix.S_IFLNK | 0o777, Target: target}
}

// listing returns all paths of a tree, each with what it is.
func listing(tree *filetree.Tree) []string {
	var found []string
	var walk func(at string, node *filetree.Node)
	walk = func(at string, node *filetree.Node) {
		for _, name := range node.Names() {
			child, below := node.Child(name), path.Join(at, name)
			switch {
			case child.IsDir():
				found = append(found, below+"/")
				walk(below, child)
			case child.IsSymlink():
				found = append(found, below+" -> "+child.Target)
			default:
				found = append(found, fmt.Sprintf("%s %d", below, child.Extents[0].Block))
			}
		}
	}
	walk("", tree.Root())
	return found
}

func TestPut_MakesMissingDirectoriesAndStaysBelowTheRoot(t *testing.T) {
	tree, _ := newTree(t)
	require.NoError(t, tree.Put("a/b/file", file(1)))
	require.NoError(t, tree.Put("/absolute", file(2)))
	require.NoError(t, tree.Put("./a/./c//d", file(3)))
	require.Equal(t, []string{"a/", "a/b/", "a/b/file 1", "a/c/", "a/c/d 3", "absolute 2"}, listing(tree))
	for _, name := range []string{"..", "../up", "a/../../up", "a/..", "/.."} {
		require.ErrorContains(t, tree.Put(name, file(9)), "leads out of its directory", name)
		require.ErrorContains(t, tree.Link("x", name), "leads out of its directory", name)
		require.ErrorContains(t, tree.Link(name, "absolute"), "leads out of its directory", name)
		require.ErrorContains(t, tree.Whiteout(name+"/.wh.x"), "leads out of its directory", name)
	}
}

func TestPut_FollowsSymbolicLinksWithinTheTreeOnly(t *testing.T) {
	tree, _ := newTree(t)
	require.NoError(t, tree.Put("usr/lib/", directory(0o755)))
	for name, target := range map[string]string{
		"lib": "usr/lib", "up": "../../../../..", "absolute": "/usr", "usr/back": "../usr/./lib", "dangling": "made/later", "chain": "usr/back",
	} {
		require.NoError(t, tree.Put(name, symlink(target)))
	}
	for i, name := range []string{"lib/one", "up/two", "absolute/three", "usr/back/four", "dangling/five", "chain/six"} {
		require.NoError(t, tree.Put(name, file(uint32(i+1))), name)
	}
	require.Subset(t, listing(tree), []string{
		"usr/lib/one 1", "two 2", "usr/three 3", "usr/lib/four 4", "made/later/five 5", "usr/lib/six 6", "lib -> usr/lib",
	})
	require.NoError(t, tree.Put("lib", file(7)), "the last name is not followed")
	require.Contains(t, listing(tree), "lib 7")
}

func TestPut_RefusesLoopsOfSymbolicLinks(t *testing.T) {
	tree, _ := newTree(t)
	for name, target := range map[string]string{"self": "self", "ping": "pong", "pong": "ping", "deep": "deep/deep/deep"} {
		require.NoError(t, tree.Put(name, symlink(target)))
	}
	for _, name := range []string{"self", "ping", "deep"} {
		require.ErrorContains(t, tree.Put(name+"/file", file(1)), "more than 40 symbolic links")
	}
}

func TestPut_RefusesFilesBelowFilesAndNamesThatAreTooLong(t *testing.T) {
	tree, _ := newTree(t)
	require.NoError(t, tree.Put("file", file(1)))
	require.ErrorContains(t, tree.Put("file/below", file(2)), `"file" is not a directory`)
	require.ErrorContains(t, tree.Put(".", file(2)), "the root of the file system is not a directory")
	require.ErrorContains(t, tree.Put(strings.Repeat("n", 256), file(2)), "a name is longer than 255 bytes")
	require.NoError(t, tree.Put(strings.Repeat("n", 255), file(2)))
	require.ErrorContains(t, tree.Put(strings.Repeat("d/", 2048), directory(0o755)), "a path is longer than 4095 bytes")
	require.ErrorContains(t, tree.Put("zero\x00byte", file(2)), "a name has a zero byte")
}

func TestPut_LimitsHowDeepLinksMayLead(t *testing.T) {
	tree, _ := newTree(t)
	deep := strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 250)+"/", 15), "/")
	require.NoError(t, tree.Put(deep, directory(0o755)))
	require.NoError(t, tree.Put("link", symlink(deep)))
	require.ErrorContains(t, tree.Put("link/"+deep, directory(0o755)), "a path is longer than 4095 bytes")
}

func TestPut_ReplacesWhatHasTheNameAndKeepsDirectories(t *testing.T) {
	tree, released := newTree(t)
	require.NoError(t, tree.Put("d/one", file(1)))
	require.NoError(t, tree.Put("d/one", file(2)))
	require.Equal(t, []uint32{1}, *released)
	require.NoError(t, tree.Put("d", directory(0o700)))
	require.Equal(t, []string{"d/", "d/one 2"}, listing(tree))
	require.EqualValues(t, unix.S_IFDIR|0o700, tree.Root().Child("d").Mode)
	require.NoError(t, tree.Put("d", file(3)))
	require.Equal(t, []uint32{1, 2}, *released, "what was below it is gone")
	require.NoError(t, tree.Put("d", directory(0o755)))
	require.Equal(t, []uint32{1, 2, 3}, *released)
	require.Equal(t, []string{"d/"}, listing(tree))
	require.NoError(t, tree.Put("./", directory(0o711)))
	require.EqualValues(t, unix.S_IFDIR|0o711, tree.Root().Mode)
}

func TestLink_SharesAFileUntilItsLastNameGoes(t *testing.T) {
	tree, released := newTree(t)
	require.NoError(t, tree.Put("one", file(1)))
	require.NoError(t, tree.Link("two", "one"))
	require.NoError(t, tree.Link("two", "one"), "a name that it has")
	require.NoError(t, tree.Link("one", "one"))
	require.EqualValues(t, 2, tree.Root().Child("two").Links)
	tree.BeginLayer()
	require.NoError(t, tree.Put("one", file(2)), "the other name keeps the old content")
	require.Equal(t, []string{"one 2", "two 1"}, listing(tree))
	require.Empty(t, *released)
	require.NoError(t, tree.Whiteout(".wh.two"))
	require.Equal(t, []uint32{1}, *released)
	require.ErrorContains(t, tree.Link("three", "missing"), "does not exist")
	require.NoError(t, tree.Put("d", directory(0o755)))
	require.ErrorContains(t, tree.Link("three", "d"), "hard link to the directory")
	require.ErrorContains(t, tree.Link("/", "one"), "not a directory")
}

func TestLink_RefusesMoreNamesThanExt4Has(t *testing.T) {
	tree := filetree.New(filetree.Limits{Entries: 100000}, func([]filetree.Extent) {})
	require.NoError(t, tree.Put("one", file(1)))
	var err error
	for i := 2; i <= 65000; i++ {
		err = tree.Link(fmt.Sprint(i), "one")
		require.NoError(t, err)
	}
	require.ErrorContains(t, tree.Link("more", "one"), "more than 65000 names")
}

func TestWhiteout_RemovesWhatEarlierLayersHave(t *testing.T) {
	tree, released := newTree(t)
	for i, name := range []string{"file", "d/one", "d/below/two", "kept"} {
		require.NoError(t, tree.Put(name, file(uint32(i+1))))
	}
	tree.BeginLayer()
	require.NoError(t, tree.Put("d/new", file(5)))
	for _, name := range []string{".wh.file", "./.wh.d", "missing/.wh.x", "kept/.wh.x", ".wh.unknown", "d/.wh..wh.plnk"} {
		require.NoError(t, tree.Whiteout(name), name)
	}
	require.Equal(t, []string{"d/", "d/new 5", "kept 4"}, listing(tree), "what this layer has put there stays")
	require.ElementsMatch(t, []uint32{1, 2, 3}, *released)
	for _, name := range []string{".wh.", ".wh..", ".wh..."} {
		require.ErrorContains(t, tree.Whiteout(name), "removes nothing that can be named", name)
	}
}

func TestWhiteout_OpaqueEmptiesADirectoryOfEarlierLayers(t *testing.T) {
	for _, order := range [][]string{{"d/.wh..wh..opq", "d/new"}, {"d/new", "d/.wh..wh..opq"}} {
		tree, _ := newTree(t)
		require.NoError(t, tree.Put("d/old/deep", file(1)))
		require.NoError(t, tree.Put("beside", file(2)))
		tree.BeginLayer()
		for _, name := range order {
			if filetree.IsWhiteout(name) {
				require.NoError(t, tree.Whiteout(name))
			} else {
				require.NoError(t, tree.Put(name, file(3)))
			}
		}
		require.Equal(t, []string{"beside 2", "d/", "d/new 3"}, listing(tree))
	}
}

func TestWhiteout_FollowsSymbolicLinksWithinTheTree(t *testing.T) {
	tree, _ := newTree(t)
	require.NoError(t, tree.Put("usr/lib/old", file(1)))
	require.NoError(t, tree.Put("lib", symlink("/usr/lib")))
	tree.BeginLayer()
	require.NoError(t, tree.Whiteout("lib/.wh.old"))
	require.Equal(t, []string{"lib -> /usr/lib", "usr/", "usr/lib/"}, listing(tree))
}

func TestTree_LimitsEntriesAlsoThoseThatPathsImply(t *testing.T) {
	for name, add := range map[string]func(*filetree.Tree, int) error{
		"files":       func(tree *filetree.Tree, i int) error { return tree.Put(fmt.Sprint("f", i), file(1)) },
		"same":        func(tree *filetree.Tree, _ int) error { return tree.Put("f", file(1)) },
		"directories": func(tree *filetree.Tree, i int) error { return tree.Put(fmt.Sprintf("%d/a/b/c/d/e/f/g", i), file(1)) },
		"whiteouts":   func(tree *filetree.Tree, _ int) error { return tree.Whiteout(".wh.x") },
		"links": func(tree *filetree.Tree, i int) error {
			if i == 0 {
				return tree.Put("f", file(1))
			}
			return tree.Link(fmt.Sprint(i), "f")
		},
	} {
		tree, _ := newTree(t)
		var err error
		for i := 0; i <= 1000 && err == nil; i++ {
			err = add(tree, i)
		}
		require.ErrorContains(t, err, "more than 1000 files, which is the limit", name)
	}
}

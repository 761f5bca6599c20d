package module

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// bundle writes an archive with an index and modules, whose content is their name.
func bundle(t *testing.T, index string, names ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "modules.zip")
	file, err := os.Create(path)
	require.NoError(t, err)
	archive := zip.NewWriter(file)
	entries := map[string]string{"index": index}
	for _, name := range names {
		entries[name+".ko"] = name
	}
	for name, content := range entries {
		entry, err := archive.Create(name)
		require.NoError(t, err)
		_, err = entry.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, file.Close())
	return path
}

const index = `module nfnetlink
module libcrc32c
module nf_tables libcrc32c,nfnetlink
module overlay
alias fs_overlay overlay
alias nft_expr_* nf_tables
device net/tun c 10 200
`

// open opens a bundle whose modules are put into a list instead of the kernel.
func open(t *testing.T, path string) (*Modules, *[]string) {
	t.Helper()
	m, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	var inserted []string
	m.insert = func(image []byte) error {
		inserted = append(inserted, string(image))
		return nil
	}
	return m, &inserted
}

func TestLoad_LoadsDependenciesFirstAndByAnyName(t *testing.T) {
	path := bundle(t, index, "nfnetlink", "libcrc32c", "nf_tables", "overlay")
	for wanted, loaded := range map[string][]string{
		"nf_tables":     {"libcrc32c", "nfnetlink", "nf_tables"},
		"nf-tables":     {"libcrc32c", "nfnetlink", "nf_tables"},
		"nft-expr-ct":   {"libcrc32c", "nfnetlink", "nf_tables"},
		"fs-overlay":    {"overlay"},
		"fs-overlay-no": nil,
	} {
		m, inserted := open(t, path)
		err := m.Load(wanted)
		require.Equal(t, loaded == nil, errors.Is(err, ErrUnknown), wanted)
		require.Equal(t, loaded, *inserted, wanted)
	}
}

func TestLoad_EndsOnACircleAndSaysWhatIsMissing(t *testing.T) {
	m, inserted := open(t, bundle(t, "module a b\nmodule b a\nmodule c gone\n", "a", "b", "c"))
	require.NoError(t, m.Load("a"))
	require.Equal(t, []string{"b", "a"}, *inserted)
	require.ErrorContains(t, m.Load("c"), "for kernel module c: no such kernel module: gone")
}

func TestOpen_RefusesAnIndexItDoesNotKnow(t *testing.T) {
	for _, broken := range []string{"modul a\n", "device x c 10\n", "device x c ten 200\n"} {
		_, err := Open(bundle(t, broken))
		require.ErrorContains(t, err, "read the index of kernel modules", broken)
	}
	_, err := Open(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestModules_KnowDevices(t *testing.T) {
	m, _ := open(t, bundle(t, index))
	require.Equal(t, []Device{{Name: "net/tun", Major: 10, Minor: 200}}, m.Devices())
}

func TestModprobe_SaysWhatIsNotThereUnlessItIsAskedNotTo(t *testing.T) {
	path := bundle(t, index)
	var said bytes.Buffer
	require.Equal(t, 1, Modprobe(path, []string{"-q", "--", "net-pf-99"}, &said))
	require.Empty(t, said.String())
	require.Equal(t, 1, Modprobe(path, []string{"net-pf-99"}, &said))
	require.Equal(t, "modprobe: no such kernel module: net_pf_99\n", said.String())
	said.Reset()
	require.Equal(t, 1, Modprobe(path, []string{"-q"}, &said))
	require.Equal(t, "modprobe: no module is named\n", said.String())
}

func FuzzReadLine(f *testing.F) {
	f.Add("module a b,c")
	f.Add("device net/tun c 10 200")
	f.Fuzz(func(t *testing.T, line string) {
		m := &Modules{needs: make(map[string][]string)}
		if m.readLine(line) == nil {
			require.Equal(t, 1, len(m.needs)+len(m.aliases)+len(m.devices))
		}
	})
}

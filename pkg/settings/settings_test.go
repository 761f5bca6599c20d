package settings_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// program has a setting of each type.
type program struct {
	Listen   string         `env:"X_LISTEN" flag:"listen" default:"localhost:80" help:"address"`
	Verbose  bool           `env:"X_VERBOSE" flag:"verbose" help:"say more"`
	Count    int            `env:"X_COUNT" default:"7" min:"0" help:"a count"`
	Share    float64        `env:"X_SHARE" default:"0.5" min:"0" max:"1" help:"a share"`
	Limit    *int64         `env:"X_LIMIT" default:"20" min:"0" help:"a limit"`
	Timeout  time.Duration  `env:"X_TIMEOUT" default:"24h" help:"a timeout"`
	Level    slog.Level     `env:"X_LEVEL" default:"info" form:"debug, info, warn or error" help:"a level"`
	Format   string         `env:"X_FORMAT" default:"text" choices:"text,json" help:"a format"`
	Files    []string       `env:"X_FILES" help:"files"`
	Networks []netip.Prefix `env:"X_NETWORKS" flag:"networks" help:"networks"`
	Domain   string         `env:"X_DOMAIN" derived:"the host of X_LISTEN" help:"a domain"`
	Database database
	Version  string // no setting
}

type database struct {
	URL      string `env:"X_DATABASE_URL" secret:"url" help:"a database"`
	Password string `env:"X_PASSWORD" secret:"true" help:"a password"`
	Name     string `env:"X_NAME" required:"true" help:"a name"`
}

var errDomain = errors.New("X_DOMAIN must be short")

// Complete computes the domain.
func (p *program) Complete() error {
	if p.Domain == "" {
		p.Domain = "computed"
	}
	if len(p.Domain) > 10 {
		return errDomain
	}
	return nil
}

func TestRead_FillsEachTypeFromItsDefault(t *testing.T) {
	t.Parallel()
	var got program
	require.NoError(t, settings.New(&got).Read(settings.Environment([]string{"X_NAME=n", "X_COUNT="})))
	limit := int64(20)
	require.Equal(t, program{
		Listen: "localhost:80", Count: 7, Share: 0.5, Limit: &limit, Timeout: 24 * time.Hour, Format: "text",
		Domain: "computed", Database: database{Name: "n"},
	}, got)
}

func TestRead_FillsEachTypeFromASource(t *testing.T) {
	t.Parallel()
	var got program
	require.NoError(t, settings.New(&got).Read(settings.Environment([]string{
		"X_LISTEN=:1", "X_VERBOSE=true", "X_COUNT=0", "X_SHARE=1", "X_LIMIT=none", "X_TIMEOUT=90s", "X_LEVEL=WARN", "X_FORMAT=json",
		"X_FILES=/a, /b,", "X_NETWORKS=10.1.2.3/16,fd00::/8", "X_DOMAIN=d", "X_DATABASE_URL=postgres:///x", "X_PASSWORD=p", "X_NAME=n=m",
	})))
	require.Equal(t, program{
		Listen: ":1", Verbose: true, Share: 1, Timeout: 90 * time.Second, Level: slog.LevelWarn, Format: "json",
		Files:    []string{"/a", "/b"},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")},
		Domain:   "d", Database: database{URL: "postgres:///x", Password: "p", Name: "n=m"},
	}, got)
}

func TestRead_ReturnsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	var got program
	err := settings.New(&got).Read(settings.Environment([]string{
		"X_VERBOSE=maybe", "X_COUNT=-1", "X_SHARE=2", "X_LIMIT=some", "X_TIMEOUT=0s", "X_LEVEL=loud", "X_FORMAT=xml",
		"X_NETWORKS=10.0.0.1", "X_DOMAIN=much too long",
	}))
	require.EqualError(t, err, `X_VERBOSE must be true or false
X_COUNT must be a whole number of at least 0
X_SHARE must be a number from 0 to 1
X_LIMIT must be a whole number of at least 0, or none
X_TIMEOUT must be a positive duration, such as 24h
X_LEVEL must be debug, info, warn or error
X_FORMAT must be text or json
X_NETWORKS must be networks such as 10.1.0.0/16, separated by commas
X_NAME is not set
X_DOMAIN must be short`)
	require.ErrorIs(t, err, errDomain)
}

func TestRead_PrefersFlagsAndEarlierSources(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "env")
	require.NoError(t, os.WriteFile(path, []byte("# comment\n\nX_NAME = 'from file'\nX_LISTEN=file\nX_COUNT=1\n"), 0o600))
	file, err := settings.File(path)
	require.NoError(t, err)
	var got program
	reader := settings.New(&got)
	for _, flag := range reader.Flags() {
		switch flag.Setting.Flag {
		case "listen":
			require.Equal(t, "localhost:80", flag.String())
			require.Equal(t, "string", flag.Type())
			require.Equal(t, "address (X_LISTEN)", flag.Usage())
			require.NoError(t, flag.Set("flag"))
		case "networks":
			require.Equal(t, "networks", flag.Type())
			require.NoError(t, errors.Join(flag.Set("10.0.0.0/8"), flag.Set("10.0.0.1")))
		}
	}
	environment := settings.Environment([]string{"X_LISTEN=environment", "X_COUNT=2"})
	require.EqualError(t, reader.Read(environment, file), "--networks must be networks such as 10.1.0.0/16, separated by commas")
	require.Equal(t, "flag", got.Listen)
	require.Equal(t, 2, got.Count)
	require.Equal(t, "from file", got.Database.Name)

	values := map[string]settings.Value{}
	for _, value := range reader.Values() {
		values[value.Name] = value
	}
	require.Equal(t, "file "+path, values["X_NAME"].Source)
	require.Equal(t, settings.SourceEnvironment, values["X_COUNT"].Source)
	require.Equal(t, settings.Value{
		Name: "X_LISTEN", Flag: "listen", Value: "flag", Default: "localhost:80", Source: settings.SourceFlag, Help: "address",
	}, values["X_LISTEN"])
	require.Equal(t, settings.Value{
		Name: "X_DOMAIN", Value: "computed", Default: "the host of X_LISTEN", Source: settings.SourceDefault, Help: "a domain",
	}, values["X_DOMAIN"])
}

func TestFile_NamesTheLineThatItCannotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "env")
	require.NoError(t, os.WriteFile(path, []byte("X_NAME=n\nexport\n"), 0o600))
	_, err := settings.File(path)
	require.ErrorContains(t, err, "line 2")
}

func TestValues_HidesSecretsAndWritesValuesAsSourcesDo(t *testing.T) {
	t.Parallel()
	variables := []string{
		"X_NAME=n", "X_LIMIT=none", "X_TIMEOUT=36h", "X_NETWORKS=10.0.0.0/8,fd00::/8", "X_FILES=/a,/b", "X_SHARE=0.25",
		"X_PASSWORD=hunter2", "X_DATABASE_URL=postgres://u:hunter2@h/d",
	}
	var got program
	reader := settings.New(&got)
	require.NoError(t, reader.Read(settings.Environment(variables)))
	written := map[string]string{}
	for _, value := range reader.Values() {
		written[value.Name] = value.Value
	}
	require.Equal(t, map[string]string{
		"X_LISTEN": "localhost:80", "X_VERBOSE": "false", "X_COUNT": "7", "X_SHARE": "0.25", "X_LIMIT": "none", "X_TIMEOUT": "36h",
		"X_LEVEL": "info", "X_FORMAT": "text", "X_FILES": "/a,/b", "X_NETWORKS": "10.0.0.0/8,fd00::/8", "X_DOMAIN": "computed",
		"X_DATABASE_URL": "postgres://u:xxxxx@h/d", "X_PASSWORD": "***", "X_NAME": "n",
	}, written)
}

func TestCheckNames_TellsMistakesFromOtherProgramsVariables(t *testing.T) {
	t.Parallel()
	warnings, err := settings.CheckNames([]string{
		"WRENN_LISTEN=:1", "WRENN_TEAM_MAX_VCPU=1", "WRENN_LISTNE=:2", "WRENN_PORT_3000_TCP=tcp://10.0.0.1:3000", "HOME=/", "WRENN_LISTE=", "WRENN_QUOTA=1", "WRENN_QUOTAS=1", "WRENN_TEST_HOST=1",
	}, "WRENN_QUOTA")
	require.EqualError(t, err, "WRENN_LISTNE is not a setting; WRENN_LISTEN is\nWRENN_QUOTAS is not a setting; WRENN_QUOTA is\n"+
		"WRENN_TEAM_MAX_VCPU is not a setting; WRENN_TEAM_MAX_VCPUS is")
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "WRENN_PORT_3000_TCP is not a setting; the nearest is WRENN_")
}

func TestCheck_ChecksWhatAProgramHasFilledAndCompletesIt(t *testing.T) {
	t.Parallel()
	filled := program{Count: -1, Share: 0.5, Format: "xml", Timeout: -time.Second}
	require.EqualError(t, settings.Check(&filled), `X_COUNT must be a whole number of at least 0
X_TIMEOUT must be a positive duration, such as 24h
X_FORMAT must be text or json`)
	require.Equal(t, program{Count: -1, Share: 0.5, Format: "xml", Timeout: -time.Second, Domain: "computed"}, filled)
	require.NoError(t, settings.Check(&program{}), "zero values are right")
}

func TestNew_RefusesTagsThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, into := range map[string]any{
		"the same name twice": &struct {
			A string `env:"X" help:"a"`
			B string `env:"X" help:"b"`
		}{},
		"no help": &struct {
			A string `env:"X"`
		}{},
		"a default that is refused": &struct {
			A int `env:"X" default:"one" help:"a"`
		}{},
		"a range that is no number": &struct {
			A int `env:"X" min:"few" help:"a"`
		}{},
		"an unknown type": &struct {
			A chan int `env:"X" default:"1" help:"a"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Panics(t, func() { settings.New(into) })
		})
	}
}

// Package dbtest gives tests a real PostgreSQL: one private, throw-away cluster
// for each test binary, and in it a fresh database for each test.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { dbtest.Main(m) }
package dbtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/postgres"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

const (
	template    = "migrated"
	stopTimeout = 30 * time.Second
	// testsAtOnce wait for the database and for what they have started more than
	// they compute; more of them would need more connections than there are.
	testsAtOnce = "4"
	// maxConnections lets so many tests each run several control planes, which connect
	// as a role that has no part in the connections that are kept for superusers.
	maxConnections = 400
	// unprivileged is whom Debian's package makes, for tests that run as root.
	unprivileged = "postgres"
)

// cluster is the test binary's server, with an address for each database.
type cluster struct {
	server  *postgres.Server
	dir     *os.File // the server holds it open too
	counter atomic.Int64
}

var running *cluster

// Main runs a package's tests with a cluster beside them. Without PostgreSQL it
// fails and says what to install.
func Main(m *testing.M) {
	flag.Parse()
	// Fuzzing runs many processes, and no test that needs a database.
	if target := flag.Lookup("test.fuzz"); target != nil && target.Value.String() != "" {
		os.Exit(m.Run())
	}
	os.Exit(run(m))
}

// moreAtOnce runs tests beside each other unless the command line says how many.
func moreAtOnce() error {
	const name = "test.parallel"
	asked := false
	flag.Visit(func(given *flag.Flag) { asked = asked || given.Name == name })
	if asked {
		return nil
	}
	return flag.Set(name, testsAtOnce)
}

func run(m *testing.M) (code int) {
	ctx := context.Background()
	if err := moreAtOnce(); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest:", err)
		return 1
	}
	started, err := start(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "dbtest:", err)
		return 1
	}
	running = started
	defer func() {
		if err := started.stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "dbtest:", err)
			code = 1
		}
	}()
	return m.Run()
}

func start(ctx context.Context) (_ *cluster, err error) {
	directory, err := makeDirectory()
	if err != nil {
		return nil, err
	}
	dir := directory.Name()
	c := &cluster{dir: directory}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop(ctx))
		}
	}()
	config := postgres.Config{DataDir: filepath.Join(dir, "data"), SocketDir: filepath.Join(dir, "socket"), LogPath: filepath.Join(dir, "log"), Lifeline: directory, MaxConnections: maxConnections}
	if os.Geteuid() == 0 {
		config.User = unprivileged
		if err := os.Chmod(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if c.server, err = postgres.Start(ctx, config); err != nil {
		return nil, err
	}
	return c, c.prepare(ctx)
}

// prepare makes the database that all others are copies of.
func (c *cluster) prepare(ctx context.Context) error {
	for _, statement := range []string{
		"ALTER SYSTEM SET fsync = off", // what is lost in a crash is thrown away anyway
		"SELECT pg_reload_conf()",
		"CREATE DATABASE " + template + " OWNER " + postgres.Role,
	} {
		if err := c.execute(ctx, statement); err != nil {
			return err
		}
	}
	pool, err := db.Open(ctx, c.url(template))
	if err != nil {
		return err
	}
	defer pool.Close()
	return db.Migrate(ctx, pool)
}

func (c *cluster) execute(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, c.server.AdminURL())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func (c *cluster) url(database string) string {
	address, err := url.Parse(c.server.URL())
	if err != nil {
		panic(err) // our own server's address
	}
	address.Path = "/" + database
	return address.String()
}

func (c *cluster) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	var err error
	if c.server != nil {
		err = c.server.Stop(ctx)
	}
	return errors.Join(err, os.RemoveAll(c.dir.Name()), c.dir.Close())
}

// EmptyURL makes a database without a schema and returns its address.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return create(t, "template1")
}

// URL makes a database with the current schema and returns its address.
func URL(t testing.TB) string {
	t.Helper()
	return create(t, template)
}

// Open makes a database with the current schema and connects to it.
func Open(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := db.Open(t.Context(), URL(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func create(t testing.TB, from string) string {
	t.Helper()
	require.NotNil(t, running, "TestMain must call dbtest.Main")
	name := fmt.Sprintf("test_%d", running.counter.Add(1))
	require.NoError(t, running.execute(t.Context(), "CREATE DATABASE "+name+" OWNER "+postgres.Role+" TEMPLATE "+from))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		require.NoError(t, running.execute(ctx, "DROP DATABASE "+name+" WITH (FORCE)"))
	})
	return running.url(name)
}

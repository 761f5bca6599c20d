// Package contexts keeps the contexts that code runs in: one for each language that is
// used without a context, and those that clients make.
package contexts

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

// BadRequestError is an error of the client's.
type BadRequestError struct{ Message string }

func (e *BadRequestError) Error() string { return e.Message }

// BusyError tells that a limit is reached.
type BusyError struct{ Message string }

func (e *BusyError) Error() string { return e.Message }

// NotFoundError tells that there is no such context.
type NotFoundError struct{ Message string }

func (e *NotFoundError) Error() string { return e.Message }

func notFound(id string) error { return &NotFoundError{fmt.Sprintf("Context %.100s not found", id)} }

// Start starts a kernel of a language in a directory.
type Start func(ctx context.Context, directory string) (kernel.Kernel, error)

// Config are the parts of Contexts.
type Config struct {
	// Languages start the kernels of the languages that there are.
	Languages map[string]Start
	// Home is the directory of contexts that name none.
	Home        string
	Most        int
	Environment Environment
	Log         *slog.Logger
}

// Contexts are all contexts.
type Contexts struct {
	Config

	mu       sync.Mutex
	byID     map[string]*Context
	starting int
	order    int
	defaults map[string]*byDefault
}

// byDefault is the context of runs that name a language only. It is made once, by the
// first who needs it; the others wait.
type byDefault struct {
	turn chan struct{}
	id   string
}

// New makes an empty set of contexts.
func New(cfg Config) *Contexts {
	c := &Contexts{Config: cfg, byID: map[string]*Context{}, defaults: map[string]*byDefault{}}
	for language := range cfg.Languages {
		c.defaults[language] = &byDefault{turn: make(chan struct{}, 1)}
		c.defaults[language].turn <- struct{}{}
	}
	return c
}

// shortNames are other names of languages.
var shortNames = map[string]string{"": "python", "py": "python", "python3": "python", "js": "javascript", "ts": "typescript", "sh": "bash"}

// language checks a language's name.
func (c *Contexts) language(name string) (string, error) {
	language := strings.ToLower(strings.TrimSpace(name))
	if long, short := shortNames[language]; short {
		language = long
	}
	if _, has := c.Languages[language]; !has {
		return "", &BadRequestError{fmt.Sprintf("There is no kernel for the language %.50q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(c.Languages)), ", "))}
	}
	return language, nil
}

// Create makes a context.
func (c *Contexts) Create(ctx context.Context, language, directory string) (*Context, error) {
	language, err := c.language(language)
	if err != nil {
		return nil, err
	}
	directory = filepath.Clean(cmp.Or(directory, c.Home))
	if !filepath.IsAbs(directory) || strings.ContainsRune(directory, 0) {
		return nil, &BadRequestError{fmt.Sprintf("cwd %.200q is no absolute path", directory)}
	}
	if info, err := os.Stat(directory); err != nil || !info.IsDir() {
		return nil, &BadRequestError{fmt.Sprintf("cwd %.200q is not a directory of the sandbox", directory)}
	}
	return c.start(ctx, language, directory)
}

func (c *Contexts) start(ctx context.Context, language, directory string) (*Context, error) {
	c.mu.Lock()
	if len(c.byID)+c.starting >= c.Most {
		c.mu.Unlock()
		return nil, &BusyError{fmt.Sprintf("There are %d contexts already; remove one", c.Most)}
	}
	c.starting++
	c.order++
	order := c.order
	c.mu.Unlock()
	started, err := c.Languages[language](ctx, directory)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starting--
	if err != nil {
		return nil, fmt.Errorf("start a context for %s: %w", language, err)
	}
	made := newContext(newID(), language, directory, order, started)
	c.byID[made.ID] = made
	return made, nil
}

// newID makes an ID in the form of a UUID of version 4, as clients of E2B's server know it.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Default returns the context of a language, and makes it where there is none.
func (c *Contexts) Default(ctx context.Context, language string) (*Context, error) {
	language, err := c.language(language)
	if err != nil {
		return nil, err
	}
	of := c.defaults[language]
	select {
	case <-of.turn:
		defer func() { of.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if found, err := c.Get(of.id); err == nil {
		return found, nil
	}
	made, err := c.start(ctx, language, c.Home)
	if err != nil {
		return nil, err
	}
	of.id = made.ID
	return made, nil
}

// Get returns a context by its ID.
func (c *Contexts) Get(id string) (*Context, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, has := c.byID[id]
	if !has {
		return nil, notFound(id)
	}
	return found, nil
}

// List returns all contexts, the first made first.
func (c *Contexts) List() []*Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*Context, 0, len(c.byID))
	for _, one := range c.byID {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *Context) int { return a.order - b.order })
	return all
}

// Restart ends a context's run and empties it.
func (c *Contexts) Restart(ctx context.Context, id string) error {
	found, err := c.Get(id)
	if err != nil {
		return err
	}
	return found.restart(ctx)
}

// Remove ends a context.
func (c *Contexts) Remove(ctx context.Context, id string) error {
	found, err := c.Get(id)
	if err != nil {
		return err
	}
	if err := found.remove(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
	return nil
}

// First is a context that clients expect from the beginning, and code that it runs once.
type First struct{ Language, Code string }

// Warm makes the first contexts.
func (c *Contexts) Warm(ctx context.Context, first []First) error {
	for _, one := range first {
		if _, has := c.Languages[one.Language]; !has {
			continue
		}
		made, err := c.Default(ctx, one.Language)
		if err != nil {
			return err
		}
		if err := made.take(ctx); err != nil {
			return err
		}
		err = made.silently(ctx, one.Code)
		made.give()
		if err != nil {
			return fmt.Errorf("warm the context of %s: %w", one.Language, err)
		}
	}
	return nil
}

// Close ends all contexts.
func (c *Contexts) Close(ctx context.Context) error {
	var failed []error
	for _, one := range c.List() {
		failed = append(failed, c.Remove(ctx, one.ID))
	}
	return errors.Join(failed...)
}

package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/image/layers"
)

const (
	// pullsAtATime is how many layers of an image are pulled at the same time.
	pullsAtATime = 3
	// pullAttempts: connections to registries end early now and then.
	pullAttempts = 3
	retryDelay   = time.Second
)

// scope keeps what was pulled with credentials apart: it is used only for pulls from the
// same repository, whose registry has then accepted the caller. Otherwise who knows the
// digest of another team's layer could name it in a manifest of their own, and would get
// the content from the cache. What was pulled without credentials is anybody's.
func (i *Image) scope() string {
	if i.source.Credentials == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(i.repository))
	return "." + hex.EncodeToString(sum[:8])
}

func fileName(digest string) string { return strings.ReplaceAll(digest, ":", "-") }

// fileSystems is the namespace of file systems' UUIDs.
var fileSystems = uuid.MustParse("b3f1f0a4-5f0e-4a39-8f57-4a6d6a3f7a10")

func fileSystemID(digest string) string { return uuid.NewSHA1(fileSystems, []byte(digest)).String() }

// pull returns the files of all layers. It holds what it returns, also with an error.
func (s *Store) pull(ctx context.Context, image *Image, progress func(Progress)) ([]held, error) {
	if image.Size() > s.config.ImageBytes {
		return nil, invalid("The image %s has %s; the limit is %s.", image.Name, layers.Bytes(image.Size()), layers.Bytes(s.config.ImageBytes))
	}
	puller := &puller{store: s, image: image, progress: progress}
	blobs := make([]held, len(image.Layers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pullsAtATime)
	for i := range image.Layers {
		group.Go(func() (err error) {
			blobs[i], err = puller.hold(ctx, i)
			return err
		})
	}
	err := group.Wait()
	return blobs, err
}

// puller pulls the layers of one image.
type puller struct {
	store *Store
	image *Image

	progressLock sync.Mutex
	progress     func(Progress)

	opening sync.Mutex
	opened  *session
}

// session logs in at the first layer that is missing.
func (p *puller) session(ctx context.Context) (*session, error) {
	p.opening.Lock()
	defer p.opening.Unlock()
	if p.opened == nil {
		opened, err := p.store.open(ctx, p.image.source)
		if err != nil {
			return nil, err
		}
		p.opened = opened
	}
	return p.opened, nil
}

// hold returns a layer's file. One that was pulled without credentials is used for all.
func (p *puller) hold(ctx context.Context, index int) (held, error) {
	name := fileName(p.image.Layers[index].Digest)
	public, err := p.store.blobs.hold(ctx, name, func(path string) error {
		if p.image.source.Credentials != nil {
			return errNotPublic
		}
		return p.fetch(ctx, index, path)
	})
	if !errors.Is(err, errNotPublic) {
		return public, err
	}
	return p.store.blobs.hold(ctx, name+p.image.scope(), func(path string) error { return p.fetch(ctx, index, path) })
}

var errNotPublic = errors.New("the layer was not pulled without credentials")

// fetch pulls a layer into a file, and again if the connection ends early.
func (p *puller) fetch(ctx context.Context, index int, path string) error {
	if err := p.store.requireRoom(p.store.config.BlobDir, p.image.Layers[index].Size); err != nil {
		return err
	}
	session, err := p.session(ctx)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err = p.fetchOnce(ctx, session, index, path)
		var explained *Error
		if err == nil || ctx.Err() != nil || attempt == pullAttempts || isFull(err) ||
			errors.As(err, &explained) && explained.Cause != RegistryUnreachable {
			return err
		}
		p.store.config.Log.InfoContext(ctx, "pulling a layer once more", "error", err, "attempt", attempt)
		if err := removeExisting(path); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryDelay):
		}
	}
}

func (p *puller) fetchOnce(ctx context.Context, session *session, index int, path string) (err error) {
	layer := p.image.Layers[index]
	remote, err := session.puller.Layer(ctx, session.reference.Context().Digest(layer.Digest))
	if err != nil {
		return session.explain(ctx, err)
	}
	content, err := remote.Compressed()
	if err != nil {
		return p.explainLayer(ctx, session, err)
	}
	defer content.Close()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("store a layer: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sum := sha256.New()
	limited := io.LimitReader(content, layer.Size+1)
	size, err := io.Copy(io.MultiWriter(file, sum), &counted{source: limited, puller: p, index: index})
	var ofFile *os.PathError
	if errors.As(err, &ofFile) {
		return explainHost(fmt.Errorf("store a layer: %w", err))
	}
	if err != nil && !strings.Contains(err.Error(), "error verifying") {
		return session.explain(ctx, err)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); size != layer.Size || got != layer.Digest {
		return invalid("The registry %s sends another content for layer %d of %s than the image has. Push the image again.", session.host(), index+1, p.image.Name)
	}
	if err := file.Sync(); err != nil {
		return explainHost(fmt.Errorf("store a layer: %w", err))
	}
	p.report(Progress{Layer: index + 1, Bytes: layer.Size})
	return nil
}

// explainLayer says what it means that a layer is missing: the image is there, but not
// whole.
func (p *puller) explainLayer(ctx context.Context, session *session, err error) error {
	var answered *transport.Error
	if errors.As(err, &answered) && answered.StatusCode == http.StatusNotFound {
		missing := invalid("The registry %s does not have all layers of %s. Push the image again.", session.host(), p.image.Name)
		missing.Err = err
		return missing
	}
	return session.explain(ctx, err)
}

// report tells progress of a layer.
func (p *puller) report(progress Progress) {
	if p.progress == nil {
		return
	}
	progress.Stage, progress.Layers = Pulling, len(p.image.Layers)
	progress.TotalBytes = p.image.Layers[progress.Layer-1].Size
	p.progressLock.Lock()
	defer p.progressLock.Unlock()
	p.progress(progress)
}

// counted tells now and then how much of a layer was read.
type counted struct {
	source io.Reader
	puller *puller
	index  int
	read   int64
	next   time.Time
}

func (c *counted) Read(buffer []byte) (int, error) {
	n, err := c.source.Read(buffer)
	c.read += int64(n)
	const every = time.Second
	if now := time.Now(); now.After(c.next) {
		c.next = now.Add(every)
		c.puller.report(Progress{Layer: c.index + 1, Bytes: c.read})
		// Other layers, and all else on the host, use the disk meanwhile.
		if room := c.puller.store.requireRoom(c.puller.store.config.BlobDir, 0); room != nil {
			return n, room
		}
	}
	return n, err
}

// removeDamaged removes the layers of an image whose files are not what they were when
// they were stored, and returns how many those are.
func (s *Store) removeDamaged(image *Image) (removed int) {
	for _, layer := range image.Layers {
		for _, name := range []string{fileName(layer.Digest), fileName(layer.Digest) + image.scope()} {
			if sum, err := sumFile(filepath.Join(s.config.BlobDir, name)); err == nil && sum != layer.Digest && s.blobs.remove(name) == nil {
				removed++
			}
		}
	}
	return removed
}

func sumFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

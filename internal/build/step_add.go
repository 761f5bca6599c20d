package build

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/build/layer"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
)

// certificates are the host's own: a guest without any can reach what the host could.
// Source: the files that Go's crypto/x509 looks for.
var certificates = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

func hostCertificates() []byte {
	for _, path := range certificates {
		if content, err := os.ReadFile(filepath.Clean(path)); err == nil {
			return content
		}
	}
	return nil
}

const checksumPrefix = "sha256:"

// download has the guest download a file, over its own network and its policy.
func (s *stage) download(ctx context.Context, add plan.AddURL) (outcome, error) {
	if err := plan.CheckURL(add.URL); err != nil {
		return outcome{}, &Failure{Cause: CauseInvalidStep, Message: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	got, err := s.machine.Do(ctx, machine.Request{Download: &machine.Download{
		URL: add.URL, Destination: add.Destination, Owner: s.ownerOf(add.Owner), Mode: add.Mode, SHA256: strings.TrimPrefix(add.Checksum, checksumPrefix),
	}}, bytes.NewReader(hostCertificates()), nil)
	if err != nil {
		return outcome{}, err
	}
	done := outcome{changed: true, context: s.context}
	if add.Checksum == "" && plan.IsFilesHash(got.Digest) {
		done.source = &layer.Source{SHA256: got.Digest, ETag: got.ETag, LastModified: got.LastModified}
		done.more = []plan.Key{s.contentKey(add, got.Digest)}
	}
	return done, err
}

// contentKey is the key of a download by what the URL has: that of the same step with a
// checksum.
func (s *stage) contentKey(add plan.AddURL, digest string) plan.Key {
	add.Checksum = checksumPrefix + digest
	return plan.StepKey(s.layerID, s.context, add, "")
}

// lookUpURL goes on from the result of a download without a checksum if the URL still has
// what it had. The guest asks for that: a URL is its owner's, and the policy of the build's
// network decides what it may reach.
func (s *stage) lookUpURL(ctx context.Context, add plan.AddURL) (keys []plan.Key, found bool, err error) {
	key := plan.StepKey(s.layerID, s.context, add, "")
	keys = []plan.Key{key}
	if s.forced || plan.CheckURL(add.URL) != nil {
		return keys, false, nil
	}
	known, found := s.find(key)
	if !found || known.Source == nil {
		return keys, false, nil
	}
	if err := s.ensureMachine(ctx); err != nil {
		return keys, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	seen, err := s.machine.Do(ctx, machine.Request{CheckURL: &machine.CheckURL{
		URL: add.URL, SHA256: known.Source.SHA256, ETag: known.Source.ETag, LastModified: known.Source.LastModified,
	}}, bytes.NewReader(hostCertificates()), nil)
	if err != nil {
		return keys, false, err
	}
	if !seen.Changed {
		found, err = s.goOnFrom(key)
		return keys, found, err
	}
	// It may have come back to what it had before.
	if found, err = s.goOnFrom(s.contentKey(add, seen.Digest)); found && err == nil {
		err = s.config.Layers.AddEntry(s.request.TeamID, key, layer.Entry{
			LayerID: s.layerID, Context: s.context, Source: &layer.Source{SHA256: seen.Digest, ETag: seen.ETag, LastModified: seen.LastModified},
		})
	}
	return keys, found, err
}

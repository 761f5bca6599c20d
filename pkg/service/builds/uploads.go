package builds

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

const (
	// uploadURLLife is how long a link to upload to is good for, and uploadTime how long
	// the upload may take then.
	uploadURLLife = 30 * time.Minute
	uploadTime    = time.Hour
	// maxUploadBytes bounds one upload.
	maxUploadBytes = 20 << 30
)

// Upload is the right to upload the files of a hash to a host, until a time.
type Upload struct {
	TeamID, HostID uuid.UUID
	// Hash has 64 hex digits.
	Hash string
	// Expires is in seconds since 1970.
	Expires   int64
	Signature string
}

// Files reports whether the host of a template's build has an upload, and returns the
// right to upload it. A build of the template must wait to be started.
func (s *Service) Files(ctx context.Context, teamID uuid.UUID, template, hash string) (present bool, upload Upload, err error) {
	if !build.IsFilesHash(hash) {
		return false, Upload{}, fault.New(fault.Invalid, "hash must have 64 hex digits")
	}
	name, err := templates.ParseName("templateID", template)
	if err != nil {
		return false, Upload{}, err
	}
	store := newStore(s.pool)
	templateID, err := store.ownTemplate(ctx, teamID, name.Alias())
	if errors.Is(err, errNoRow) || fault.Is(err, fault.Conflict) {
		return false, Upload{}, fault.New(fault.NotFound, "template %.64q was not found", template)
	}
	if err != nil {
		return false, Upload{}, err
	}
	waiting, err := store.waiting(ctx, templateID)
	if err != nil {
		return false, Upload{}, err
	}
	if len(waiting) == 0 {
		return false, Upload{}, fault.New(fault.NotFound, "no build of template %s waits to be started; request one first", templateID)
	}
	upload = Upload{TeamID: teamID, HostID: waiting[0].HostID, Hash: hash, Expires: time.Now().Add(uploadURLLife).Unix()}
	upload.Signature = s.sign(upload)
	present, err = s.hosts(upload.HostID).HasBuildFiles(ctx, teamID.String(), hash)
	return present, upload, err
}

func (s *Service) sign(upload Upload) string {
	return s.tokens.BuildUpload(upload.TeamID.String(), upload.HostID.String(), upload.Hash, upload.Expires)
}

// Receive sends an upload to its host, which has stored it when this returns. size is that
// of the content, which is not kept here.
func (s *Service) Receive(ctx context.Context, upload Upload, size int64, content io.Reader) error {
	switch {
	case !auth.Equal(upload.Signature, s.sign(upload)):
		return fault.New(fault.Forbidden, "the URL's signature is wrong")
	case time.Now().Unix() > upload.Expires:
		return fault.New(fault.Forbidden, "the URL was good until %s; ask for another", time.Unix(upload.Expires, 0).UTC().Format(time.RFC3339))
	case size < 0:
		return fault.New(fault.Invalid, "the header Content-Length is needed")
	case size > maxUploadBytes:
		return fault.New(fault.TooLarge, "the upload has %d bytes; at most %s are possible", size, strconv.Itoa(maxUploadBytes))
	}
	ctx, cancel := context.WithTimeout(ctx, uploadTime)
	defer cancel()
	return s.hosts(upload.HostID).PutBuildFiles(ctx, upload.TeamID.String(), upload.Hash, size, content)
}

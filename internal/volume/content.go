package volume

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// handler answers one kind of request about the content of a volume.
type handler func(s *Store, root contents, w http.ResponseWriter, r *http.Request) error

var handlers = map[string]map[string]handler{
	"path": {http.MethodGet: getPath, http.MethodPatch: changePath, http.MethodDelete: removePath},
	"dir":  {http.MethodGet: listDirectory, http.MethodPost: makeDirectory},
	"file": {http.MethodGet: readFile, http.MethodHead: readFile, http.MethodPut: writeFile},
}

// ServeHTTP answers requests about the content of volumes. It does not check permissions:
// a caller may read and change the whole volume.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, host.VolumePrefix), "/")
	methods, known := handlers[what]
	answer, possible := methods[r.Method]
	var err error
	switch {
	case !known:
		err = &failure{http.StatusNotFound, "not_found", "there is no such route"}
	case !possible:
		err = &failure{http.StatusMethodNotAllowed, "invalid", r.Method + " is not possible here"}
	default:
		err = s.serve(answer, id, w, r)
	}
	if err != nil {
		// A client whose request body is not read to the end sees a broken connection
		// instead of the answer.
		_, _ = io.Copy(io.Discard, r.Body)
		writeFailure(w, err)
	}
}

func (s *Store) serve(answer handler, id string, w http.ResponseWriter, r *http.Request) (err error) {
	directory, _, err := s.Content(id)
	if err != nil {
		return err
	}
	limit, err := s.Quota(id)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return answer(s, contents{root, limit}, w, r)
}

func getPath(_ *Store, root contents, w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r.URL.Query())
	if err != nil {
		return err
	}
	return answerWith(w, http.StatusOK, root, name)
}

func answerWith(w http.ResponseWriter, status int, root contents, name string) error {
	described, err := describe(root, name)
	if err != nil {
		return err
	}
	writeJSON(w, status, described)
	return nil
}

func changePath(_ *Store, root contents, w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r.URL.Query())
	if err != nil {
		return err
	}
	wanted, err := attributesIn(w, r)
	if err != nil {
		return err
	}
	if err := wanted.apply(root, name); err != nil {
		return err
	}
	return answerWith(w, http.StatusOK, root, name)
}

// apply sets the attributes of an entry. Links have no mode of their own.
func (a attributes) apply(root contents, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if a.uid != anyID || a.gid != anyID {
		if err := root.Lchown(name, int(a.uid), int(a.gid)); err != nil {
			return err
		}
	}
	if a.mode == anyID || info.Mode()&os.ModeSymlink != 0 {
		return nil
	}
	return root.Chmod(name, fileMode(a.mode))
}

// fileMode converts a mode of Unix to Go's.
func fileMode(mode int64) os.FileMode {
	const sticky = 0o1000
	converted := os.FileMode(mode) & os.ModePerm
	if mode&sticky != 0 {
		converted |= os.ModeSticky
	}
	return converted
}

func removePath(_ *Store, root contents, w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r.URL.Query())
	if err != nil {
		return err
	}
	if name == "." {
		return badRequest("the volume itself cannot be removed here")
	}
	if _, err := root.Lstat(name); err != nil {
		return err
	}
	if err := root.removeAll(name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func listDirectory(_ *Store, root contents, w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r.URL.Query())
	if err != nil {
		return err
	}
	depth, err := depthOf(r.URL.Query())
	if err != nil {
		return err
	}
	info, err := root.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return badRequest("the path is not a directory")
	}
	entries, err := collect(root, name, depth, []entry{})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, entries)
	return nil
}

// collect lists a directory, each entry after the directory that contains it. Entries that
// are removed meanwhile are left out.
func collect(root contents, name string, depth int, entries []entry) ([]entry, error) {
	directory, err := root.Open(name)
	if err != nil {
		return entries, err
	}
	children, err := directory.ReadDir(maxEntries + 1)
	if err = errors.Join(ignoreEnd(err), directory.Close()); err != nil {
		return entries, err
	}
	if len(entries)+len(children) > maxEntries {
		return entries, badRequest("the directory has too many entries for one list")
	}
	for _, each := range children {
		inner := path.Join(name, each.Name())
		described, err := describe(root, inner)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return entries, err
		}
		entries = append(entries, described)
		if described.Type != "directory" || depth == 1 {
			continue
		}
		entries, err = collect(root, inner, depth-1, entries)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return entries, err
		}
	}
	return entries, nil
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func makeDirectory(s *Store, root contents, w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r.URL.Query())
	if err != nil {
		return err
	}
	wanted, err := attributesOf(r.URL.Query())
	if err != nil {
		return err
	}
	if err := s.Room(0); err != nil {
		return err
	}
	if wanted.force {
		err = root.makeDirectories(name)
	} else {
		err = root.makeDirectory(name)
	}
	if err != nil {
		return err
	}
	if err := wanted.apply(root, name); err != nil {
		return err
	}
	return answerWith(w, http.StatusCreated, root, name)
}

package api

import "net/http"

func (s *Server) createContext(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Language  string `json:"language"`
		Directory string `json:"cwd"`
	}
	if err := read(w, r, &wanted); err != nil {
		s.fail(w, err)
		return
	}
	made, err := s.contexts.Create(r.Context(), wanted.Language, wanted.Directory)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, made)
}

func (s *Server) listContexts(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, s.contexts.List())
}

func (s *Server) restartContext(w http.ResponseWriter, r *http.Request) {
	if err := s.contexts.Restart(r.Context(), r.PathValue("id")); err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, nil)
}

func (s *Server) removeContext(w http.ResponseWriter, r *http.Request) {
	if err := s.contexts.Remove(r.Context(), r.PathValue("id")); err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, nil)
}

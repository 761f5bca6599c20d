package api

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/openapi"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func (s *Server) routeDocumentation(router respond.Router) {
	router.Get("/docs", s.showDocumentation)
	router.Get("/docs/{section}", s.showDocumentation)
	router.Get("/openapi.json", s.openapiJSON)
	router.Get("/openapi.yaml", s.openapiYAML)
}

// documentation is the API's document and its pages, with the routes of extensions.
type documentation struct {
	*openapi.Document
	pages map[string][]byte
}

// documentation puts the document together at the first request for it.
func (s *Server) documentation() (documentation, error) {
	s.documented.Do(func() {
		var groups []openapi.Group
		if s.Extensions != nil {
			groups = s.Extensions.Operations()
		}
		if s.document.Document, s.documentFailure = openapi.LoadWith(groups...); s.documentFailure == nil {
			s.document.pages, s.documentFailure = s.document.Pages()
		}
	})
	return s.document, s.documentFailure
}

// showDocumentation shows the first page, or that of a section.
func (s *Server) showDocumentation(w http.ResponseWriter, r *http.Request) error {
	documentation, err := s.documentation()
	if err != nil {
		return err
	}
	page, there := documentation.pages[chi.URLParam(r, "section")]
	if !there {
		return fault.New(fault.NotFound, "the documentation has no such section")
	}
	header := w.Header()
	header.Set("Content-Security-Policy", openapi.PagePolicy())
	header.Set("Referrer-Policy", "no-referrer")
	return writeText(w, "text/html; charset=utf-8", page)
}

func (s *Server) openapiJSON(w http.ResponseWriter, _ *http.Request) error {
	documentation, err := s.documentation()
	if err != nil {
		return err
	}
	return writeText(w, "application/json", documentation.JSON)
}

func (s *Server) openapiYAML(w http.ResponseWriter, _ *http.Request) error {
	documentation, err := s.documentation()
	if err != nil {
		return err
	}
	return writeText(w, "application/yaml", documentation.YAML)
}

func writeText(w http.ResponseWriter, contentType string, text []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-cache")
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("write the documentation: %w", err)
	}
	return nil
}

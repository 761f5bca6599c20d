package cpserver_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
)

// printing is an extension that prints by jobs of a queue of its own.
type printing struct {
	named
	server *cpextension.ServerContext
	worked chan string
}

// printJob is one page.
type printJob struct {
	Page string `json:"page"`
}

func (printJob) Kind() string { return "printing_page" }

// printer works on pages.
type printer struct {
	river.WorkerDefaults[printJob]
	worked chan string
}

func (p *printer) Work(_ context.Context, job *river.Job[printJob]) error {
	p.worked <- job.Queue + ": " + job.Args.Page
	return nil
}

func (p *printing) JobQueues() map[string]int { return map[string]int{"printing_pages": 2} }

func (p *printing) Start(_ context.Context, server *cpextension.ServerContext) error {
	p.server = server
	return river.AddWorkerSafely(server.JobWorkers, &printer{worked: p.worked})
}

func (p *printing) Routes(routes cpextension.Routes) {
	routes.Team(auth.UsageRead).Post("/pages", p.server.Handle(func(w http.ResponseWriter, r *http.Request) error {
		var job printJob
		if err := cpextension.DecodeJSON(r, &job); err != nil {
			return err
		}
		if _, err := p.server.Jobs.Insert(r.Context(), job, &river.InsertOpts{Queue: "printing_pages"}); err != nil {
			return err
		}
		return cpextension.AnswerJSON(w, http.StatusAccepted, job)
	}))
}

func (p *printing) Describe() map[string]cpextension.Description {
	return map[string]cpextension.Description{
		"POST /pages": {Summary: "Print a page", Request: printJob{}, Answer: printJob{}, Status: http.StatusAccepted},
	}
}

func TestExtension_WithAQueueOfItsOwn(t *testing.T) {
	t.Parallel()
	extension := &printing{named: "printing", worked: make(chan string, 1)}
	p := extended(t, extension)
	p.start(t)

	t.Run("works on its jobs", func(t *testing.T) {
		accepted := p.do(t, http.MethodPost, "/extensions/printing/pages", `{"page":"one"}`)
		require.Equal(t, http.StatusAccepted, accepted.status, "%s", accepted.body)
		require.JSONEq(t, `{"page":"one"}`, string(accepted.body))
		require.Equal(t, "printing_pages: one", <-extension.worked)
	})
	t.Run("refuses a body as the control plane's routes do", func(t *testing.T) {
		refused := p.do(t, http.MethodPost, "/extensions/printing/pages", `{"pgae":"one"}`)
		requireStatus(t, http.StatusBadRequest, refused)
		require.Contains(t, string(refused.body), "pgae: there is no such field")
	})
	t.Run("is in the API's document", func(t *testing.T) {
		var document struct {
			Paths map[string]map[string]struct{ Summary string }
		}
		p.do(t, http.MethodGet, "/openapi.json", "").decode(t, &document)
		require.Equal(t, "Print a page", document.Paths["/extensions/printing/pages"]["post"].Summary)
		require.NotEmpty(t, document.Paths["/v2/sandboxes"])
		require.Contains(t, string(p.do(t, http.MethodGet, "/docs/extension-printing", "").body), "Print a page")
	})
}

// squatter takes a queue of the control plane.
type squatter struct{ named }

func (squatter) JobQueues() map[string]int { return map[string]int{"default": 1} }

func TestExtension_WithAQueueOfAnotherDoesNotStart(t *testing.T) {
	t.Parallel()
	p := extended(t, squatter{"squatter"})
	p.start(t)
	require.Equal(t, "failed", p.extension(t, "squatter").State)
	require.Contains(t, p.extension(t, "squatter").LastFailure.Message, "must be squatter or begin with squatter_")
}

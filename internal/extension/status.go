package extension

import (
	"slices"
	"time"
)

// State is the state of an extension.
type State string

// The states of an extension. A failed one does not run.
const (
	Starting State = "starting"
	Running  State = "running"
	Failed   State = "failed"
)

// Failure is an error or a panic of an extension.
type Failure struct {
	At time.Time `json:"at"`
	// Doing is what the extension was called for, such as "before create".
	Doing   string `json:"doing"`
	Message string `json:"message"`
}

// Page is a page of the dashboard of an extension.
type Page struct {
	Title string `json:"title"`
	// Path is the whole path of the page.
	Path      string `json:"path"`
	AdminOnly bool   `json:"adminOnly"`
}

// Status is the state of an extension and its failures.
type Status struct {
	Name     string `json:"name"`
	State    State  `json:"state"`
	Required bool   `json:"required"`
	// Failures is the number of failures since the server started.
	Failures    int64    `json:"failures"`
	LastFailure *Failure `json:"lastFailure"`
	Pages       []Page   `json:"pages"`
}

// Statuses returns the status of each extension.
func (s *Set) Statuses() []Status {
	statuses := []Status{}
	for _, i := range s.instances {
		statuses = append(statuses, i.status())
	}
	return statuses
}

func (i *instance) status() Status {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	status := Status{Name: i.name, State: i.state, Required: i.required, Failures: i.failures, LastFailure: i.last, Pages: []Page{}}
	if i.state == Running {
		status.Pages = append(status.Pages, i.pages...)
	}
	return status
}

// Pages returns the pages that a user may see; admin is true for platform admins.
func (s *Set) Pages(admin bool) []Page {
	pages := []Page{}
	for _, status := range s.Statuses() {
		pages = append(pages, status.Pages...)
	}
	return slices.DeleteFunc(pages, func(page Page) bool { return page.AdminOnly && !admin })
}

package extension

import (
	"slices"
	"time"
)

// State is how an extension is.
type State string

// The states of an extension. A failed one has not started.
const (
	Starting State = "starting"
	Running  State = "running"
	Failed   State = "failed"
)

// Failure is something that went wrong in an extension.
type Failure struct {
	At time.Time `json:"at"`
	// Doing is what the extension was at, such as "before create".
	Doing   string `json:"doing"`
	Message string `json:"message"`
}

// Page is a page of the dashboard that an extension has.
type Page struct {
	Title string `json:"title"`
	// Path is the whole path of the page's address.
	Path      string `json:"path"`
	AdminOnly bool   `json:"adminOnly"`
}

// Status is how an extension does.
type Status struct {
	Name     string `json:"name"`
	State    State  `json:"state"`
	Required bool   `json:"required"`
	// Failures is how often something went wrong since the server started.
	Failures    int64    `json:"failures"`
	LastFailure *Failure `json:"lastFailure"`
	Pages       []Page   `json:"pages"`
}

// Statuses are those of all extensions.
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

// Pages are all pages that somebody may see who is, or is not, a platform admin.
func (s *Set) Pages(admin bool) []Page {
	pages := []Page{}
	for _, status := range s.Statuses() {
		pages = append(pages, status.Pages...)
	}
	return slices.DeleteFunc(pages, func(page Page) bool { return page.AdminOnly && !admin })
}

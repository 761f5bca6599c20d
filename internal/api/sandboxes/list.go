package sandboxes

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// listRunning is the list of version 1: all running sandboxes, without pages.
func (h *Handlers) listRunning(w http.ResponseWriter, r *http.Request) error {
	metadata, err := metadataFilter(r.URL.Query().Get("metadata"))
	if err != nil {
		return err
	}
	filter := sandboxes.Filter{Metadata: metadata, States: []sandbox.State{sandbox.Running}, PageSize: request.MaxPageSize}
	all := []listedSandbox{}
	for {
		page, err := h.Sandboxes.List(r.Context(), request.Team(r), filter)
		if err != nil {
			return err
		}
		all = append(all, listedAll(page.Sandboxes)...)
		if filter.PageToken = page.NextToken; filter.PageToken == "" {
			respond.JSON(w, http.StatusOK, all)
			return nil
		}
	}
}

func (h *Handlers) listSandboxes(w http.ResponseWriter, r *http.Request) error {
	filter, err := parseFilter(r.URL.Query())
	if err != nil {
		return err
	}
	page, err := h.Sandboxes.List(r.Context(), request.Team(r), filter)
	if err != nil {
		return err
	}
	if page.NextToken != "" {
		w.Header().Set("X-Next-Token", page.NextToken)
	}
	w.Header().Set("X-Total-Running", strconv.FormatInt(page.TotalRunning, 10))
	respond.JSON(w, http.StatusOK, listedAll(page.Sandboxes))
	return nil
}

func listedAll(page []sandbox.Sandbox) []listedSandbox {
	all := make([]listedSandbox, 0, len(page))
	for _, one := range page {
		all = append(all, fromSandbox(one))
	}
	return all
}

func parseFilter(query url.Values) (sandboxes.Filter, error) {
	filter := sandboxes.Filter{Template: query.Get("template"), PageToken: query.Get("nextToken")}
	var err error
	if filter.Metadata, err = metadataFilter(query.Get("metadata")); err != nil {
		return filter, err
	}
	if filter.States, err = statesFilter(query["state"]); err != nil {
		return filter, err
	}
	if filter.PageSize, err = request.PageSize(query.Get("limit")); err != nil {
		return filter, err
	}
	switch query.Get("order") {
	case "", "desc":
	case "asc":
		filter.OldestFirst = true
	default:
		return filter, fault.New(fault.Invalid, "order must be asc or desc")
	}
	if after := query.Get("startedAfter"); after != "" {
		if filter.StartedAfter, err = time.Parse(time.RFC3339, after); err != nil {
			return filter, fault.New(fault.Invalid, "startedAfter must be a time such as 2006-01-02T15:04:05Z")
		}
	}
	if strings.ContainsRune(filter.Template, 0) {
		return filter, fault.New(fault.Invalid, "template must not contain a zero byte")
	}
	return filter, nil
}

// metadataFilter reads pairs such as "user=abc&app=prod". Clients escape keys and values
// first, and then the whole text.
func metadataFilter(text string) (map[string]string, error) {
	pairs, err := url.ParseQuery(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "metadata must be pairs such as user=abc&app=prod, URL encoded")
	}
	filter := make(map[string]string, len(pairs))
	for key, values := range pairs {
		plainKey, keyErr := url.PathUnescape(key)
		plainValue, valueErr := url.PathUnescape(values[len(values)-1])
		if keyErr != nil || valueErr != nil {
			return nil, fault.New(fault.Invalid, "metadata: keys and values must be URL encoded")
		}
		filter[plainKey] = plainValue
	}
	return filter, validate.Metadata(filter)
}

// statesFilter reads states, repeated or separated by commas.
func statesFilter(values []string) ([]sandbox.State, error) {
	var states []sandbox.State
	for _, value := range values {
		for _, name := range strings.Split(value, ",") {
			switch state := sandbox.State(name); state {
			case sandbox.Running, sandbox.Paused:
				states = append(states, state)
			default:
				return nil, fault.New(fault.Invalid, "state must be running or paused")
			}
		}
	}
	return states, nil
}

package apiclient

import (
	"context"
	"maps"
	"net/http"
	"net/url"
)

// All returns the items of all pages of a list.
func All[T any](ctx context.Context, a *API, path string, query url.Values) ([]T, error) {
	all, asked := []T{}, url.Values{}
	maps.Copy(asked, query)
	for {
		var page []T
		header, err := a.Call(ctx, http.MethodGet, path+"?"+asked.Encode(), nil, &page)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		next := header.Get("X-Next-Token")
		if next == "" {
			return all, nil
		}
		asked.Set("nextToken", next)
	}
}

package extension

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/openapi"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
)

// shop has routes, of which one is described, and a page.
type shop struct {
	descriptions map[string]cpextension.Description
}

func (shop) Name() string { return "shop" }

func (shop) Routes(routes cpextension.Routes) {
	nothing := func(http.ResponseWriter, *http.Request) {}
	routes.Public().Get("/prices", nothing)
	routes.Team(auth.UsageRead).Post("/orders/{orderID:[0-9]+}/items", nothing)
	routes.Admin().Get("/files/*", nothing)
}

func (shop) Pages() []cpextension.Page {
	return []cpextension.Page{{Title: "Shop", Path: "/window", Handler: http.NotFoundHandler()}}
}

func (s shop) Describe() map[string]cpextension.Description { return s.descriptions }

// item is the body of a request.
type item struct {
	ProductID uuid.UUID         `json:"productID"`
	Count     int               `json:"count"`
	Notes     map[string]string `json:"notes,omitempty"`
}

func TestOperations_DescribeTheRoutesInTheDocument(t *testing.T) {
	t.Parallel()
	set, err := start(t, shop{map[string]cpextension.Description{
		"POST /orders/{orderID:[0-9]+}/items": {Summary: "Add an item", Request: item{}, Answer: []item{}, Status: http.StatusCreated},
	}})
	require.NoError(t, err)
	require.Equal(t, Running, set.instances[0].status().State, "%v", set.instances[0].last)
	document, err := openapi.LoadWith(set.Operations()...)
	require.NoError(t, err)
	operations := map[string]*openapi.Operation{}
	for _, operation := range document.Operations() {
		operations[operation.Method+" "+operation.Path] = operation
	}

	t.Run("with what the extension says", func(t *testing.T) {
		t.Parallel()
		described := operations["POST /extensions/shop/orders/{orderID}/items"]
		require.NotNil(t, described)
		require.Equal(t, "Add an item", described.Summary)
		require.Equal(t, []string{"Extension shop"}, described.Tags)
		require.Equal(t, "usage:read", described.Permission)
		require.Contains(t, described.Security, map[string][]string{"apiKey": {}})
		require.Contains(t, described.Security, map[string][]string{"session": {}, "csrfToken": {}})
		require.Equal(t, "orderID", described.Parameters[0].Name)
		var whole struct {
			Paths map[string]map[string]struct {
				RequestBody struct {
					Content map[string]struct{ Schema json.RawMessage }
				}
			}
		}
		require.NoError(t, json.Unmarshal(document.JSON, &whole))
		schema := whole.Paths[described.Path]["post"].RequestBody.Content["application/json"].Schema
		require.JSONEq(t, `{"type":"object","required":["productID","count"],"properties":{
			"productID":{"type":"string","format":"uuid"},"count":{"type":"integer"},
			"notes":{"type":"object","additionalProperties":{"type":"string"}}}}`, string(schema))
	})
	t.Run("without a description", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "GET /prices", operations["GET /extensions/shop/prices"].Summary)
		require.Empty(t, operations["GET /extensions/shop/prices"].Security)
		require.NotNil(t, operations["GET /extensions/shop/files/{rest}"])
	})
	t.Run("without pages", func(t *testing.T) {
		t.Parallel()
		require.Nil(t, operations["GET /extensions/shop/window"])
	})
	t.Run("on a page of the documentation", func(t *testing.T) {
		t.Parallel()
		pages, err := document.Pages()
		require.NoError(t, err)
		require.Contains(t, string(pages["extension-shop"]), "Add an item")
	})
}

func TestOperations_RefuseTheDescriptionOfARouteThatIsNotThere(t *testing.T) {
	t.Parallel()
	set, err := start(t, shop{map[string]cpextension.Description{"GET /price": {}}})
	require.NoError(t, err)
	require.Equal(t, Failed, set.instances[0].status().State)
	require.Contains(t, set.instances[0].last.Message, `describe route "GET /price"`)
	require.Empty(t, set.Operations())
}

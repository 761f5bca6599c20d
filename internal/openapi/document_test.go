package openapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"git.omukk.dev/wrenn/sandbox/internal/openapi"
)

func load(t *testing.T) *openapi.Document {
	t.Helper()
	document, err := openapi.Load()
	require.NoError(t, err)
	return document
}

func TestDocument_SaysTheSameAsYAMLAndAsJSON(t *testing.T) {
	t.Parallel()
	document := load(t)
	var fromYAML, fromJSON any
	require.NoError(t, yaml.Unmarshal(document.YAML, &fromYAML))
	again, err := json.Marshal(fromYAML)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(document.JSON, &fromJSON))
	require.JSONEq(t, string(document.JSON), string(again))
	require.Equal(t, "3.1.0", fromJSON.(map[string]any)["openapi"])
	require.True(t, strings.HasPrefix(string(document.YAML), "openapi: \"3.1.0\"\n"), "what it is comes first")
}

func TestDocument_ReferencesLeadSomewhereAndEverythingIsUsed(t *testing.T) {
	t.Parallel()
	var whole struct {
		Components map[string]map[string]any
	}
	document := load(t)
	require.NoError(t, json.Unmarshal(document.JSON, &whole))
	used := map[string]bool{}
	for _, match := range regexp.MustCompile(`"\$ref": "#/components/(\w+)/([\w-]+)"`).FindAllStringSubmatch(string(document.JSON), -1) {
		require.Contains(t, whole.Components[match[1]], match[2])
		used[match[1]+"/"+match[2]] = true
	}
	for kind, things := range whole.Components {
		for name := range things {
			require.True(t, kind == "securitySchemes" || used[kind+"/"+name], "nothing refers to %s/%s", kind, name)
		}
	}
}

func TestDocument_NamesEachOperationOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, operation := range load(t).Operations() {
		name := operation.Method + " " + operation.Path
		require.NotEmpty(t, operation.Summary, name)
		require.Empty(t, seen[operation.ID], "%s has the ID of another", name)
		seen[operation.ID] = name
		for _, parameter := range operation.Parameters {
			require.NotEmpty(t, parameter.Description, "%s: %s", name, parameter.Name)
			require.NotNil(t, parameter.Schema, "%s: %s", name, parameter.Name)
		}
		inPath := regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(operation.Path, -1)
		for _, parameter := range inPath {
			require.Contains(t, pathParameters(operation), parameter[1], name)
		}
		require.Len(t, pathParameters(operation), len(inPath), name)
	}
	require.Greater(t, len(seen), 100)
}

func pathParameters(operation *openapi.Operation) []string {
	var names []string
	for _, parameter := range operation.Parameters {
		if parameter.In == "path" {
			names = append(names, parameter.Name)
		}
	}
	return names
}

func TestPages_ShowEveryOperationAndLoadNothing(t *testing.T) {
	t.Parallel()
	pages, err := load(t).Pages()
	require.NoError(t, err)
	document := load(t)
	for _, section := range document.Sections {
		require.NotEmpty(t, section.Operations, section.Name)
		page := string(pages[section.Slug])
		for _, operation := range section.Operations {
			require.Contains(t, page, `<article id="`+operation.ID+`">`)
			require.Contains(t, page, "<code>"+operation.Path+"</code>")
			require.Contains(t, string(pages[""]), `href="/docs/`+section.Slug+"#"+operation.ID+`"`)
		}
	}
	loads := regexp.MustCompile(`(?i)<script|<link|<img|<iframe|\ssrc=|\son\w+=|\sstyle=|@import|url\(|https?://[^l]`)
	for slug, page := range pages {
		withoutSamples := regexp.MustCompile(`(?s)<pre.*?</pre>`).ReplaceAllString(string(page), "")
		require.Empty(t, loads.FindString(withoutSamples), slug)
		require.NotContains(t, string(page), "ZgotmplZ", slug)
	}
	require.NotContains(t, openapi.PagePolicy(), "unsafe")
}

func TestPages_HaveTheStyleThatTheirPolicyAllows(t *testing.T) {
	t.Parallel()
	pages, err := load(t).Pages()
	require.NoError(t, err)
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`)
	for slug, page := range pages {
		found := style.FindSubmatch(page)
		require.Len(t, found, 2, slug)
		sum := sha256.Sum256(found[1])
		require.Contains(t, openapi.PagePolicy(), "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", slug)
	}
}

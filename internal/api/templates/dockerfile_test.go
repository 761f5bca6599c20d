package templates

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const twoImages = `FROM registry.example.com/team/tools:1 AS tools
RUN --mount=type=secret,id=token fetch
FROM debian:12
COPY . /app
COPY --from=tools /bin/tool /bin/tool
HEALTHCHECK CMD probe
`

func TestDefinition_OfADockerfileHasItsFilesSecretsAndRegistries(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("a", 64)
	definition, confidential, err := startBody{
		Dockerfile: &dockerfileBody{Content: twoImages, Files: map[string]string{"2": hash}},
		Secrets:    map[string][]byte{"token": []byte("t")},
		Registries: map[string]*registryBody{
			"registry.example.com": {Type: "registry", Username: "u", Password: "p"},
			"other.example.com":    {Type: "registry", Username: "x", Password: "y"},
		},
	}.definition()
	require.NoError(t, err)
	require.Len(t, definition.Stages, 2)
	require.Equal(t, hash, definition.Stages[1].Steps[0].Copy.FilesHash)
	require.Empty(t, definition.Stages[1].Steps[1].Copy.FilesHash)
	require.Equal(t, "probe", definition.ReadyCommand)
	require.True(t, definition.UseImageCommand)
	require.True(t, definition.ImageDefaults)
	require.Equal(t, map[string][]byte{"token": []byte("t")}, confidential.Secrets)
	require.Equal(t, map[string]build.Credentials{
		"registry.example.com/team/tools:1": {Basic: &build.BasicCredentials{Username: "u", Password: "p"}},
	}, confidential.Registries)
}

func TestDefinition_RefusesWhatADockerfileCannotHave(t *testing.T) {
	t.Parallel()
	for want, body := range map[string]startBody{
		"dockerfile: line 1: unknown instruction":          {Dockerfile: &dockerfileBody{Content: "INSTALL x\n"}},
		"dockerfile: line 2: the secret a is required":     {Dockerfile: &dockerfileBody{Content: "FROM b\nRUN --mount=type=secret,id=a,required=true c\n"}},
		"dockerfile.files: line 2: step 1 copies files":    {Dockerfile: &dockerfileBody{Content: "FROM a\nCOPY b c\n"}},
		"dockerfile cannot be combined with fromImage":     {Dockerfile: &dockerfileBody{Content: "FROM a\n"}, FromImage: "a"},
		"secrets and registries are only for":              {FromImage: "a", Secrets: map[string][]byte{"a": nil}},
		`those of "registry.example.com" are not complete`: {Dockerfile: &dockerfileBody{Content: "FROM a\n"}, Registries: map[string]*registryBody{"registry.example.com": {Type: "registry"}}},
	} {
		_, _, err := body.definition()
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.CodeOf(err), want)
	}
}

func TestRegistryOf_IsTheHostThatDockerAsks(t *testing.T) {
	t.Parallel()
	for reference, want := range map[string]string{
		"debian": "docker.io", "debian:12": "docker.io", "team/app": "docker.io", "localhost/app": "localhost",
		"registry.example.com/app": "registry.example.com", "127.0.0.1:5000/a/b:c": "127.0.0.1:5000",
	} {
		require.Equal(t, want, registryOf(reference), reference)
	}
}

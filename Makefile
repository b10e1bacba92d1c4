# Everything a person does with this project, a target each; `make help` lists them.
#
# `make run` needs requirements/local.txt alone; the tests and checks need requirements/dev.txt, which holds all of
# it at the same versions. A stamp in .venv says which lock was installed, and is older than a lock that has changed.

SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
ARGS ?=
CASES ?= 100000
VENV := .venv
BIN := $(VENV)/bin
LOCAL := $(VENV)/.installed-local
DEV := $(VENV)/.installed-dev

# A .venv whose Python is gone (an upgrade of the system, a moved folder) is made again.
ifneq ($(wildcard $(VENV)),)
ifneq ($(shell $(BIN)/python -c 'print("works")' 2>/dev/null),works)
$(LOCAL) $(DEV): again
endif
endif

define python_is_new_enough
@command -v $(PYTHON) >/dev/null 2>&1 || { echo "floodgate: there is no $(PYTHON) here: install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "floodgate: $(PYTHON) is $$($(PYTHON) -V 2>&1), and this needs 3.11 or newer: name another one: make PYTHON=python3.12" >&2; exit 1; }
endef

.PHONY: run test test-browser test-faults test-overload fuzz check bulk-test bench bench-growth reference lock clean help again

run: $(LOCAL) ## Start everything and keep it running (PORT=3000, DATA_DIR=.data); Ctrl-C stops it
	@$(BIN)/python -m deploy.local run

test: $(DEV) ## Run the whole test suite, on real servers (ARGS="-k words" for some of it)
	$(BIN)/python -m pytest $(ARGS)

test-browser: $(DEV) ## Drive the console in a real Chromium, which has to be installed (ARGS="-k words" for some)
	$(BIN)/python -m pytest tests/browser $(ARGS)

test-faults: $(DEV) ## Break everything under load and settle the ledger, up to 25 minutes (ARGS=--short: 2 minutes)
	$(BIN)/python -m pytest tests/faults
	$(BIN)/python -m tests.faults $(ARGS)

test-overload: $(DEV) ## Load the gateway with more than it takes, in the long form: 1 minute (ARGS=-s shows the figures)
	OVERLOAD=full $(BIN)/python -m pytest tests/overload $(ARGS)

fuzz: $(DEV) ## Send CASES mutated requests to a gateway and check each answer (100000; ARGS="--seed 7")
	$(BIN)/python -m tests.fuzz --cases $(CASES) $(ARGS)

check: $(DEV) ## Formatter, linter, type checker, import rules, lock files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	@! grep -nE '://|--(extra-)?index-url|--find-links|--trusted-host' requirements/*.txt \
		|| { echo "the lock files above hold an address: they must install from any index" >&2; exit 1; }

bulk-test: $(LOCAL) ## Post 50,000 events to URL and wait until they are stored; starts a stack if none is there
	@$(BIN)/python -m loadtest bulk-test --start-stack $(ARGS)

# A run with ARGS is no full one, so it does not replace the results that are kept.
bench: $(LOCAL) ## Measure a throw-away stack beside what this machine allows; keeps the results (ARGS=--quick: a look)
	@$(BIN)/python -m loadtest bench \
		$(if $(ARGS),$(ARGS),--json docs/benchmark/results.json --html docs/benchmark/report.html)

bench-growth: $(LOCAL) ## Measure the rate while the tables grow to 20 million rows (ARGS="--rows 2000000" for fewer)
	@$(BIN)/python -m loadtest bench --only growth \
		$(if $(ARGS),$(ARGS),--json docs/benchmark/growth.json --html docs/benchmark/growth.html)

COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate pyproject.toml

reference: $(DEV) ## Write docs/settings.md and docs/metrics.md anew from the code
	$(BIN)/python -m deploy.reference

lock: $(DEV) ## Bring the lock files up to pyproject.toml (ARGS=--upgrade for newer versions of everything)
	$(COMPILE) $(ARGS) -o requirements/runtime.txt
	$(COMPILE) $(ARGS) --extra local -c requirements/runtime.txt -o requirements/local.txt
	$(COMPILE) $(ARGS) --extra local --group dev -c requirements/local.txt -o requirements/dev.txt

clean: ## Remove .venv, caches and build results; the data in .data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(LOCAL): requirements/local.txt
	$(python_is_new_enough)
	@$(PYTHON) deploy/local/venv.py requirements/local.txt
	@touch $@

# What the development lock brings is all that a run needs, too.
$(DEV): requirements/dev.txt
	$(python_is_new_enough)
	@$(PYTHON) deploy/local/venv.py requirements/dev.txt
	@touch $(LOCAL) $@

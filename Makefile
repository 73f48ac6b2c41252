# Every command of the project. `make` or `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
REPORT_PORT ?= 8001
VIBES := "funny sci-fi" "cold-blooded revenge" "sprawling multi-generational epic about trees and people"

# State of the commands below; `make clean` leaves it alone. Relative folders are meant from here; Dagster accepts
# none. ($(abspath) would break at spaces.)
absolute = $(if $(filter /%,$(firstword $(1))),$(1),$(CURDIR)/$(1))
override VIBERARY_HOME := $(call absolute,$(or $(VIBERARY_HOME),var))
override DAGSTER_HOME := $(call absolute,$(or $(DAGSTER_HOME),$(VIBERARY_HOME)/dagster))
export VIBERARY_HOME DAGSTER_HOME

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Create .venv and install everything into it
	@VENV="$(VENV)" bash scripts/setup.sh

.PHONY: demo
demo: setup ## Build and publish the bundled sample, then search it by three vibes
	@time $(BIN)/viberary build
	@for vibe in $(VIBES); do echo; $(BIN)/viberary search "$$vibe"; done
	@echo
	@echo "Next:"
	@echo "  make serve    the search page"
	@echo "  make ui       the Dagster UI: the graph, its runs, any stage rerun"
	@echo "  make report   the data-quality report; search quality at /evaluation/latest.html, trends at /trends.html"

.PHONY: serve
serve: setup ## Serve the search page (VIBERARY_WEB_PORT, default 8000)
	@$(BIN)/viberary serve

.PHONY: css
css: setup ## Write the page's style sheet anew, after a change of a template or of web/style/
	@$(BIN)/python scripts/build_css.py

# Without the warning by which Dagster advertises another tool, `dg`.
.PHONY: ui
ui: setup ## Open the Dagster UI on port 3000, the reports that it links to on 8001
	@$(BIN)/python -c 'from viberary_pipeline.run import dagster_home; from viberary_pipeline.settings import load_settings; dagster_home(load_settings().writable_home())'
	@$(BIN)/python scripts/serve_report.py "$(VIBERARY_HOME)/quality" --port "$(REPORT_PORT)" --quiet & \
		trap "kill $$! 2>/dev/null" EXIT; \
		export VIBERARY_REPORT_URL="$${VIBERARY_REPORT_URL:-http://127.0.0.1:$(REPORT_PORT)}"; \
		PYTHONWARNINGS='ignore:Function `dev_command` is superseded' $(BIN)/dagster dev -w workspace.yaml

.PHONY: report
report: setup ## Serve the data-quality report (REPORT_PORT, default 8001)
	@$(BIN)/python scripts/serve_report.py "$(VIBERARY_HOME)/quality" --port "$(REPORT_PORT)"

# One process of tests per core, in another order each time. The workers of pytest-xdist need about 1.5 GB each.
PARALLEL := -n logical --maxprocesses 8 --dist worksteal

.PHONY: test
test: setup ## Run the tests, but for the slow ones
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

.PHONY: coverage
coverage: setup ## Run all tests, the slow ones too; fail under 90 % of lines and branches
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest $(PARALLEL) -m "not part"
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

.PHONY: test-all
test-all: coverage ## The same

.PHONY: lint
lint: setup ## Check style, formatting, and that no package imports from a higher one
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

.PHONY: types
types: setup ## Check types
	@$(BIN)/mypy

.PHONY: format
format: setup ## Rewrite files in the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: settings
settings: setup ## Write docs/settings.md, the reference of the settings
	@$(BIN)/python -m viberary_pipeline.settings > docs/settings.md

.PHONY: reference
reference: settings ## Write all that docs/ shows of the code: settings, commands, routes, tables, Redis, pictures
	@$(BIN)/python scripts/write_reference.py
	@$(BIN)/python scripts/draw_docs.py

.PHONY: docs
docs: setup ## Build the site of docs/ into build/docs, and fail at the first warning
	@$(BIN)/python -m sphinx -W --keep-going -q docs build/docs
	@echo "$(CURDIR)/build/docs/index.html"

.PHONY: bench
bench: setup ## Measure the ratios that README and docs quote, at small sizes (at most 15 minutes)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]' \
		|| echo "bench: the extra \`bench\` cannot be installed here: what needs it is left out" >&2
	@$(BIN)/python benchmarks/bench.py

.PHONY: stop
stop: ## Stop the embedded Redis
	@test ! -x $(BIN)/python || $(BIN)/python -m viberary_pipeline.cli redis stop

.PHONY: clean
clean: ## Remove .venv and caches (VIBERARY_HOME stays)
	@$(MAKE) --no-print-directory stop || echo "clean: could not ask whether the embedded Redis runs; going on"
	@rm -rf "$(VENV)" .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache *.egg-info

# Every command of the project. `make` or `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
VIBES := "funny sci-fi" "cold-blooded revenge" "sprawling multi-generational epic about trees and people"

# State of the demo and of the commands below; `make clean` leaves it alone.
export VIBERARY_HOME ?= $(CURDIR)/var
export DAGSTER_HOME ?= $(VIBERARY_HOME)/dagster

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.installed ## Create .venv and install everything into it

$(VENV)/.installed: pyproject.toml constraints.txt scripts/setup.sh
	@VENV=$(VENV) bash scripts/setup.sh

.PHONY: demo
demo: setup ## Build and publish the bundled sample, then search it by three vibes
	@time $(BIN)/viberary build
	@for vibe in $(VIBES); do echo; $(BIN)/viberary search "$$vibe"; done
	@echo
	@echo "Next:"
	@echo "  make serve    the search page"
	@echo "  make ui       the Dagster UI: the graph, its runs, any stage rerun"
	@echo "  make report   the data-quality report ($(VIBERARY_HOME)/quality/docs/index.html)"

.PHONY: serve
serve: setup ## Serve the search page (VIBERARY_PORT, default 8000)
	@$(BIN)/viberary serve

.PHONY: ui
ui: setup ## Open the Dagster UI on port 3000
	@$(BIN)/python -c 'from viberary_pipeline.run import dagster_home; from viberary_pipeline.settings import load_settings; dagster_home(load_settings().home_dir)'
	@$(BIN)/dagster dev -w workspace.yaml

.PHONY: report
report: setup ## Serve the data-quality report (Great Expectations Data Docs) on port 8001
	@test -f "$(VIBERARY_HOME)/quality/docs/index.html" || { echo "no report yet: run make demo or viberary build"; exit 1; }
	@echo "http://127.0.0.1:8001/"
	@$(BIN)/python -m http.server 8001 --bind 127.0.0.1 --directory "$(VIBERARY_HOME)/quality/docs"

.PHONY: test
test: setup ## Run the tests
	@$(BIN)/python -m pytest

.PHONY: lint
lint: setup ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: types
types: setup ## Check types
	@$(BIN)/mypy

.PHONY: format
format: setup ## Rewrite files in the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: stop
stop: ## Stop the embedded Redis
	@test ! -x $(BIN)/viberary || $(BIN)/viberary redis stop

.PHONY: clean
clean: stop ## Remove .venv and caches (VIBERARY_HOME stays)
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info

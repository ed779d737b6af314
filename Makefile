# Each target does all of its own set-up: a virtual environment in .venv, and in it what the
# target needs. `make demo` is the one to begin with.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Each target names its own settings; pytest-django would prefer those of another project.
unexport DJANGO_SETTINGS_MODULE

# pip compiles nothing, which halves its time: the first process that imports a module stores it.
PIP_INSTALL := install --quiet --disable-pip-version-check --root-user-action ignore --no-compile
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin

# The first Python that is new enough and can make environments. Another one: make PYTHON=...
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && { command -v "$$python"; break; }; done)

EXTRAS_demo := demo
EXTRAS_test := test
EXTRAS_lint := test,quality
EXTRAS_docs := docs
EXTRAS_ci := test,servers,browser,quality,docs,ci
EXTRAS_screenshots := test,demo,browser
EXTRAS_benchmark := test,servers,benchmark

.PHONY: help demo test test-lms lint messages screenshots docs benchmark ci-environment clean

help: ## Say what there is.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/.demo ## Run the demo: web server, grader, learners. ARGS="--learners 30 --exit"
	@$(BIN)/python -m demo.run $(ARGS)

# Three processes for two processors, because a quarter of the time tests wait.
test: $(VENV)/.test ## Run the test suite: no servers, no browser. ARGS="-k pull"
	@$(BIN)/python -m pytest -n 3 --dist worksteal \
		-m "not browser and not celery_broker and not installation and not servers" $(ARGS)

test-lms: ## Run tests/lms/inside in a tree of the platform. PLATFORM=/path/to/edx-platform
	@$(PYTHON) tests/lms/run_in_platform.py

lint: $(VENV)/.lint ## Check style, types, terms and migrations.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@for kind in settings toggle; do \
		$(BIN)/code_annotations static_find_annotations --config_file .$${kind}_annotations.yml \
			--lint --no_report; done
	@DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/code_annotations django_find_annotations \
		--config_file .pii_annotations.yml --app_name xqueue_bridge --lint --coverage
	@$(BIN)/python -m pytest -q -n 0 tests/test_language.py
	@$(BIN)/python -m django makemigrations --check --dry-run --settings tests.settings --pythonpath .

messages: $(VENV)/.test ## Update and compile the translations in xqueue_bridge/locale.
	@$(BIN)/python tools/messages.py

screenshots: $(VENV)/.screenshots ## Check every page in a browser, and write docs/screenshots.
	@$(BIN)/python -m tools.screenshots

docs: $(VENV)/.docs ## Build the documentation into docs/_build/html.
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

benchmark: $(VENV)/.benchmark .venv-peer/.installed ## Compare with edx-submissions. ARGS="--quick"
	@$(BIN)/python -m benchmarks.side_by_side $(ARGS)

# edx-submissions has an environment of its own, with the same Python and Django.
.venv-peer/.installed: requirements/benchmark/peer.txt | $(BIN)/pip
	@echo "Installing edx-submissions into .venv-peer"
	@$(BIN)/python -m venv .venv-peer
	@.venv-peer/bin/python -m pip $(PIP_INSTALL) --requirement $<
	@touch $@

# It has what these targets need, too, so that pip need not look again.
ci-environment: $(VENV)/.ci
	@touch $(VENV)/.lint $(VENV)/.docs

clean: ## Remove the environment and all that was built.
	rm -rf $(VENV) .venv-lms .venv-peer .tox build docs/_build .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "xqueue_bridge needs Python 3.11 or newer, with venv (on Debian:" \
		"apt install python3-venv). If you have one, name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# One stamp for each set of extras. Installed anew when the dependencies change.
$(VENV)/.%: setup.py | $(BIN)/pip
	@echo "Installing xqueue-bridge[$(EXTRAS_$*)]; the first time takes a minute or two"
	@$(BIN)/python -m pip $(PIP_INSTALL) --editable ".[$(EXTRAS_$*)]"
	@touch $@

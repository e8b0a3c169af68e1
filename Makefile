# make setup | demo | demo-stop | test | soak | lint | format | bench | clean; `make help` says what each does.
# Settings: PYTHON=python3.12, TESTS=tests/cli, ARGS="-k name", WORKERS=4.

VENV := .venv
TEST_VENV := .venv-test
PROJECTS := pyproject.toml scoring/pyproject.toml
UV := $(VENV)/bin/uv
TESTS ?= tests
WORKERS ?= auto
ARGS ?=

# The first Python of 3.10 to 3.13 that runs, 3.11 first: it is what the sample's environment asks for.
PYTHON ?= $(shell for minor in 3.11 3.12 3.13 3.10; do python$$minor -c '' 2>/dev/null && echo python$$minor && exit; done; \
	python3 -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null && echo python3)

.PHONY: help setup engine wheels demo demo-stop test soak lint format bench clean

help:
	@sed -n 's/^##  *//p' $(MAKEFILE_LIST)

##  setup      virtual environment, both distributions, the Pulumi engine, our plugin
setup: $(VENV)/.ready engine
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python tools/demo.py setup

##  demo       setup, then pulumi up on stacks/quickstart, a request and its answer
demo: $(VENV)/.ready engine
	@$(VENV)/bin/python tools/demo.py up

##  demo-stop  pulumi destroy of the demo
demo-stop: $(VENV)/.ready engine
	@$(VENV)/bin/python tools/demo.py stop

##  test       lint, then all tests against the built wheels
test: lint engine wheels
	$(call run_tests,-n $(WORKERS) --dist worksteal --durations 15 --durations-min 2 $(addprefix "$(CURDIR)"/,$(TESTS)))

##  soak       the long and heavy tests with their full numbers
soak: engine wheels
	$(call run_tests,-m soak --timeout 3600 "$(CURDIR)"/tests,MLSERVE_SOAK=full)

# Runs pytest in a temporary folder of its own, which stays if a test failed, for three days. In the one that pytest makes for
# all runs of a user, a run that ends takes away the lock of another that was just given the same number.
define run_tests
	@mkdir -p $(TEST_VENV)/run
	@find "$${TMPDIR:-/tmp}" -maxdepth 1 -name 'mlserve-tests.*' -user "$$(id -u)" -mtime +3 -exec rm -rf {} +
	@folder=$$(mktemp -d "$${TMPDIR:-/tmp}/mlserve-tests.XXXXXX") && cd $(TEST_VENV)/run && \
		env -u PYTHONPATH -u VIRTUAL_ENV MLSERVE_TEST_WHEELS="$(CURDIR)/dist" $(2) ../bin/pytest -c "$(CURDIR)/pyproject.toml" \
		--rootdir "$(CURDIR)" --basetemp "$$folder/t" $(1) $(ARGS) && { rm -rf "$$folder" || true; }
endef

##  lint       ruff (rules and format) and mypy strict
lint: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

##  format     what ruff can put right by itself
format: $(VENV)/.ready
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

##  bench      every measurement, each with its baseline
bench: $(VENV)/.ready engine
	@for measurement in bench/*.py; do echo "== $$measurement"; $(VENV)/bin/python $$measurement || exit; done

##  clean      stops the demo and removes everything that was built here
clean:
	@if [ -d .demo ] && [ -e $(VENV)/.ready ]; then $(VENV)/bin/python tools/demo.py stop; fi
	rm -rf $(VENV) $(TEST_VENV) dist .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

engine:
	@$(or $(PYTHON),$(error no Python 3.10 to 3.13 found; install one, or name it: make PYTHON=/path/to/python3.11)) \
		tools/engine.py > /dev/null

$(VENV)/.ready: $(PROJECTS)
	@echo "setup: $(VENV) with $(or $(PYTHON),$(error no Python 3.10 to 3.13 found; install one, or name it: make PYTHON=/path/to/python3.11))"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@test -x $(UV) || $(VENV)/bin/python -m pip install --quiet 'uv>=0.8'
	$(UV) pip install --python $(VENV)/bin/python --editable . --editable scoring --group test
	@touch $@

wheels: $(VENV)/.ready
	@rm -rf dist
	$(UV) build --quiet --wheel --out-dir dist .
	$(UV) build --quiet --wheel --out-dir dist scoring
	@test -x $(TEST_VENV)/bin/python || $(UV) venv --quiet --seed --python $(VENV)/bin/python $(TEST_VENV)
	$(UV) pip install --python $(TEST_VENV)/bin/python --reinstall-package pulumi-mlserve --reinstall-package mlserve-scoring \
		dist/*.whl --group test

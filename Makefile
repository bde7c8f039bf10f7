# `make run` starts the app; `make test` checks the code and runs its tests, `make test-slow` those that are slow. All make
# what they need in .venv first.
# Needs git, make and Python 3.11 to 3.13. Another port: LFI_PORT=8000 make run. Another Python: make run PYTHON=python3.12

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9

SUITABLE := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUITABLE)' 2>/dev/null && echo $$p && break; done)

COMPILE := $(UV) pip compile --universal --generate-hashes --no-header --no-annotate --quiet --python-version 3.11

NPM := $(shell command -v npm 2>/dev/null)

PYTEST := --numprocesses=2 --dist=loadfile --durations=15

.PHONY: run test test-slow scripts audit lock results clean

run: $(VENV)/.run
	@$(BIN)/lfi serve

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@$(MAKE) --no-print-directory scripts
	$(BIN)/pytest $(PYTEST) -m "not slow"

# Whole runs that are killed and resumed, benchmarks at their smallest, services that stop and start.
test-slow: $(VENV)/.test
	$(BIN)/pytest $(PYTEST) -m slow

# The pages' scripts, checked by TypeScript. Browsers run them as they are, so nothing else needs npm.
scripts: $(if $(NPM),node_modules/.package-lock.json)
ifdef NPM
	$(NPM) run --silent check
else
	@echo "npm is not installed, so the JavaScript in static/js was not checked"
endif

# Known weaknesses of what the locks pin. Asks the advisory database at pypi.org, so it needs to reach it.
audit: $(VENV)/.test
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.lock
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements-dev.lock

# The tables in README.md and docs/, again from results/*.json.
results: $(VENV)/.run
	$(BIN)/lfi results

# Newer versions within the ranges of pyproject.toml. Hashes, every platform, no host names.
lock: $(UV)
	$(COMPILE) --upgrade pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --group dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) node_modules

$(UV):
	@test -n "$(PYTHON)" || { echo "LFI needs Python 3.11 to 3.13 with venv (Debian: apt install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

node_modules/.package-lock.json: package-lock.json
	$(NPM) ci --silent

# The stamps say what is installed, so that a repeated command starts at once. Bytecode is written at once, too: where
# PYTHONDONTWRITEBYTECODE is set, every start of the service would compile all that it imports (25 s instead of 9).
$(VENV)/.run: requirements.lock pyproject.toml $(UV)
	$(UV) pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes -r requirements.lock
	$(UV) pip install --python $(BIN)/python --quiet --no-deps -e .
	$(BIN)/python -m compileall -q lfi evaluation app bench
	@touch $@

$(VENV)/.test: requirements-dev.lock $(VENV)/.run
	$(UV) pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes -r requirements-dev.lock
	@touch $@

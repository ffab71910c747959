# The only thing needed beforehand is Python (3.11 or newer). `make` lists what can be made.

PYTHON  ?= python3
ADDRESS ?= localhost
PORT    ?= 5006
SHOW    ?= --show
ARGS    ?=

# What is imported is compiled once, whatever the environment says: else every process parses torch and Panel anew.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
PY   := $(VENV)/bin/python

.DELETE_ON_ERROR:
.PHONY: help serve test bench lint clean

help:
	@echo "make serve   install into $(VENV), compile the kernels once, open the app (ADDRESS=$(ADDRESS) PORT=$(PORT); SHOW= opens no browser)"
	@echo "make test    all tests, the browser's included where there is a Chromium (ARGS='-k ring' chooses)"
	@echo "make bench   the benchmarks, with NumPy and torch beside (installs torch)"
	@echo "make lint    ruff: rules and format"
	@echo "make clean   remove $(VENV) and everything generated"

serve: $(VENV)/.serve
	@$(PY) -m dynamics.warm
	$(PY) -m panel serve serve.py --address $(ADDRESS) --port $(PORT) --unused-session-lifetime 60000 $(SHOW) $(ARGS)

# A file's tests run in one process: what several of them only look at is computed once.
test: $(VENV)/.test
	@$(PY) -m dynamics.warm
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: $(VENV)/.bench
	@for script in tests/bench_*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

lint: $(VENV)/.test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

clean:
	rm -rf $(VENV) *.egg-info build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of packages: pip runs only when what to install has changed. What is never imported is never compiled.
$(VENV)/.serve: extras :=
$(VENV)/.test:  extras := [test]
$(VENV)/.bench: extras := [test,bench]
$(VENV)/.serve $(VENV)/.test $(VENV)/.bench: pyproject.toml constraints.txt | $(PY)
	$(PY) -m pip install --disable-pip-version-check --no-compile -c constraints.txt -e '.$(extras)'
	@touch $@

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "$(PYTHON) is `$(PYTHON) --version 2>&1`; Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.12 (or wherever yours is)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

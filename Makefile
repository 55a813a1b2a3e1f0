# The workbook in two commands: `make lab` to read and run it, `make test` to check all of it.
# Settings, given as `make lab NAME=value`:
#   PYTHON       which Python makes the virtual environment (3.11, 3.12 or 3.13; by default the first one found)
#   TORCH_INDEX  where else to look for PyTorch, for example its CPU-only builds on Linux (see the README)
#   LAB_FLAGS    more options for JupyterLab, for example --no-browser
#   GPU_PARTS    which benchmarks `make gpu-check` runs

SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
            $$p -c '$(SUPPORTED)' 2>/dev/null && { echo $$p; break; }; done)
TORCH_INDEX ?=
LAB_FLAGS ?=
GPU_PARTS ?= gpu

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
COURSE := .venv/installed
SITE := .venv/installed-site
NPM := course_lib/tools/site/npm
DEV := .venv/installed-dev
# One process of one thread on each core is faster than one process with all threads, for small tests and for notebooks.
PYTEST := COURSE_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8
UNIT := $(PYTEST) --dist loadfile -m "not processes and not notebooks and not browser" tests
# Each notebook runs once: nbval executes it in JupyterLab, and the browser test opens the page on that kernel. Chapters 3 to 5 and
# notebooks 9 to 13 run one after another (see conftest.py), so they start first.
CHAIN := $(sort $(wildcard notebooks/0[3459]_*.ipynb notebooks/1[0123]_*.ipynb))
CHAPTERS := $(CHAIN) $(sort $(filter-out $(CHAIN),$(wildcard notebooks/[0-9]*.ipynb)))
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=900 -p no:randomly --in-jupyterlab
LONG := $(PYTEST) --dist loadscope --no-loadscope-reorder $(NBVAL) -m "processes or notebooks or browser" $(CHAPTERS) tests

.DEFAULT_GOAL := help
.PHONY: help lab test unit browser-test test-pythons lint notebooks site bench gpu-test gpu-check lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: $(COURSE)  ## install what is missing, then open JupyterLab at the start page
	@$(BIN)/course lab $(LAB_FLAGS)

test: $(DEV)  ## install what is missing, then run the unit tests and every notebook, cell by cell
	$(UNIT)
	$(LONG)

unit: $(DEV)  ## run the unit tests alone, without those that start other programs or notebooks
	$(UNIT)

browser-test: $(DEV)  ## run every notebook in JupyterLab in Chromium, where it is installed, and move every slider
	$(BIN)/python -m pytest -m browser tests/browser

test-pythons:  ## run the unit tests of the blocks on Python 3.12 and 3.13, where they are available
	bash .ci/pythons

lint: $(DEV)  ## check style, format, types, and that notebooks and homework equal their sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/course notebooks --check
	$(BIN)/course homework build --check
	$(BIN)/mypy

notebooks: $(COURSE)  ## execute every source into its notebook, and record the times
	$(BIN)/course notebooks
	$(BIN)/course homework build

site: $(SITE)  ## build the static site from the stored notebooks into build/site, in half a minute
	@$(BIN)/course site

bench: $(DEV)  ## compare this machine's speed with other libraries, into benchmarks/RESULTS.md; about an hour on two cores
	$(PIP) --no-deps -r benchmarks/requirements.txt
	$(BIN)/course bench

gpu-test: $(DEV)  ## run the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu tests

gpu-check: gpu-test  ## run the tests that need a CUDA device, then its benchmarks
	$(BIN)/course bench $(GPU_PARTS)

lock: $(DEV)  ## pin the versions that are installed now, in the lock files
	$(BIN)/python .ci/lock.py

clean:  ## remove the virtual environment, caches and saved runs (shipped data stays)
	rm -rf .venv build runs .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info

# Each stamp is written last: an interrupted install leaves none, and the next command takes the install up again.
$(COURSE): requirements.lock pyproject.toml
	@rm -f $@
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUPPORTED)' || { echo "make: this needs Python 3.11, 3.12 or 3.13 with venv \
	(on Debian and Ubuntu: the package python3-venv); name one with PYTHON=..." >&2; exit 1; }
	@for module in "pip --version" ensurepip; do $(BIN)/python -m $$module && exit; done >/dev/null 2>&1; \
	$(PYTHON) -m venv --clear .venv
	$(PIP) -r requirements.lock $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(SITE): $(COURSE) requirements-site.lock $(NPM)/package.json $(NPM)/package-lock.json
	@rm -f $@
	$(PIP) -r requirements-site.lock
	mkdir -p .venv/npm && cp $(NPM)/*.json .venv/npm
	$(BIN)/npm ci --prefix .venv/npm --ignore-scripts --no-audit --no-fund
	@touch $@

$(DEV): $(SITE) requirements-dev.lock
	@rm -f $@
	$(PIP) -r requirements-dev.lock
	@touch $@

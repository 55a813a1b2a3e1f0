# The workbook in two commands: `make lab` to read and run it, `make test` to check all of it.
# Settings, given as `make lab NAME=value`:
#   PYTHON       which Python makes the virtual environment (3.11, 3.12 or 3.13; by default the first one found)
#   TORCH_INDEX  where else to look for PyTorch, for example its CPU-only builds on Linux (see the README)
#   LAB_FLAGS    more options for JupyterLab, for example --no-browser

SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
            $$p -c '$(SUPPORTED)' 2>/dev/null && { echo $$p; break; }; done)
TORCH_INDEX ?=
LAB_FLAGS ?=

BIN := .venv/bin
STAMP := .venv/installed
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=900 -p no:randomly
# Small tests on small tensors: a process of one thread on each core is twice as fast as one process with all of them.
UNIT := COURSE_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile -m "not browser" tests

.DEFAULT_GOAL := help
.PHONY: help lab test unit browser-test lint notebooks bench gpu-test lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: $(STAMP)  ## set up what is missing, then open JupyterLab at the start page
	@$(BIN)/course lab $(LAB_FLAGS)

test: $(STAMP)  ## set up what is missing, then unit tests and every notebook, cell by cell
	$(UNIT)
	$(BIN)/python -m pytest $(NBVAL) tests/test_browser.py $(sort $(wildcard notebooks/[0-9]*.ipynb))

unit: $(STAMP)  ## the unit tests alone
	$(UNIT)

browser-test: $(STAMP)  ## every notebook in JupyterLab in Chromium, where there is one: runs all, moves every slider
	$(BIN)/python -m pytest -m browser tests

lint: $(STAMP)  ## ruff, and that every notebook is what its source says
	$(BIN)/ruff check .
	$(BIN)/course notebooks --check
	$(BIN)/course homework build --check

notebooks: $(STAMP)  ## execute every source into its notebook, and record the minutes
	$(BIN)/course notebooks --record
	$(BIN)/course homework build

bench: $(STAMP)  ## measure this machine beside other libraries, into benchmarks/RESULTS.md; about an hour on two cores
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r benchmarks/requirements.txt
	$(BIN)/course bench

gpu-test: $(STAMP)  ## the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu tests

lock: $(STAMP)  ## write the versions installed now into the lock file
	@{ sed -n '/^#/p; / ; /p' requirements.lock; \
	   $(BIN)/python -m pip freeze --exclude-editable --exclude pip --all | sed 's/+[a-z0-9.]*$$//'; } > requirements.new
	mv requirements.new requirements.lock

clean:  ## remove the virtual environment, caches and saved runs (shipped data stays)
	rm -rf .venv build runs .pytest_cache .ruff_cache .hypothesis *.egg-info

# The stamp comes last, so an interrupted install leaves none and is taken up again by the next command.
$(STAMP): requirements.lock pyproject.toml
	@rm -f $@
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUPPORTED)' || { echo "make: this needs Python 3.11, 3.12 or 3.13 with venv \
	(on Debian and Ubuntu: the package python3-venv); name one with PYTHON=..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock \
	  $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Every target works on a fresh machine: it makes .venv and installs what it needs, once.
#   PYTHON=python3.12   another interpreter (3.11 or newer)
#   PIP_ARGS=...        more arguments for pip, such as an index of CPU builds of torch
#   JOBS=1              test processes, one a core by default
#   MINUTES=60          how long `make explore` draws, ten minutes by default
#   ARGS=...            more arguments for the command itself

.DEFAULT_GOAL := help
.PHONY: help demo gallery docs test test-all explore packages triton kernels check format bench fuzz clean

PYTHON ?= python3
JOBS ?= auto
MINUTES ?= 10
VENV := .venv
BIN := $(VENV)/bin
KERNELS := .venv-triton
# dill, which datasets hashes by, takes modules of a folder of this name as they are.
PACKAGES := .packages/site-packages
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)
SLOW := browser compiled distributed docs models packages planted processes
QUICK := not $(subst $(SPACE), and not ,$(SLOW))
CONSTRAINTS := .ci/constraints.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c $(CONSTRAINTS)

# Tests start many processes; without bytecode on disk each would compile all sources again.
export PYTHONDONTWRITEBYTECODE :=

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

demo: $(VENV)/run.installed  ## one program from a config file to attention, on every backend
	@$(BIN)/python examples/demo.py $(ARGS)

gallery: $(VENV)/run.installed  ## pictures of every mask and score, in examples/README.md
	@$(BIN)/python examples/gallery.py $(ARGS)

docs: $(VENV)/docs.installed  ## the book, in site/index.html: its pages from docs/ and from the code
	@$(BIN)/python -m docs.generate
	@$(BIN)/zensical build --strict --clean $(ARGS)
	@echo "open site/index.html, or with its search: $(BIN)/python -m http.server -d site"

test: $(VENV)/dev.installed  ## what to run after each change: the same draws everywhere, about two minutes
	@HYPOTHESIS_PROFILE=newcomer $(BIN)/python -m pytest -n $(JOBS) -m "$(QUICK)" $(ARGS)

test-all: $(VENV)/dev.installed  ## every test, with more draws, compiled kernels, those of a GPU too
	@HYPOTHESIS_PROFILE=all $(BIN)/python -m pytest -n $(JOBS) $(ARGS)
ifeq ($(strip $(ARGS)),)
	@if $(MAKE) -s $(PACKAGES)/installed; then \
	  $(MAKE) -s packages; \
	else \
	  echo "SKIPPED: hooks of other libraries, since these do not install here (see above)"; \
	fi
	@if $(MAKE) -s $(KERNELS)/triton.installed; then \
	  $(MAKE) -s triton; \
	else \
	  echo "SKIPPED: the kernels of a GPU, since triton does not install here (see above)"; \
	fi
endif

packages: $(VENV)/dev.installed $(PACKAGES)/installed  ## hooks of diffusers, timm, torchtitan, TRL, axolotl, PEFT
	@PYTHONPATH=$(PACKAGES) $(BIN)/python -m pytest -n $(JOBS) tests/integrations/packages $(ARGS)

triton: $(KERNELS)/triton.installed  ## the kernels of a GPU, emitted and interpreted without one
	@TRITON_INTERPRET=1 OMP_NUM_THREADS=1 $(KERNELS)/bin/python -m pytest -q tests/kernels \
	  -n $(JOBS) --show-capture=no -p no:cacheprovider -W ignore $(ARGS)

kernels: $(KERNELS)/triton.installed  ## instructions, registers and stack of those kernels
	@OMP_NUM_THREADS=1 $(KERNELS)/bin/python benchmarks/kernels.py $(ARGS)

explore: $(VENV)/dev.installed  ## random draws for MINUTES=10; what they find becomes an @example
	@$(BIN)/python tests/explore.py --minutes $(MINUTES) -n $(JOBS) $(ARGS)

check: $(VENV)/dev.installed  ## style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.installed  ## put the sources into the house's form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/dev.installed  ## every benchmark, a table each
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file $(ARGS) || exit; done

fuzz: $(VENV)/dev.installed  ## 200 000 programs and calls at random: each ends in an answer or an error
	@OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/run.py $(ARGS)

clean:  ## remove .venv and what tools write
	rm -rf $(VENV) $(KERNELS) $(PACKAGES) build dist site .cache *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# An installation is a stamp file; it is repeated when the metadata or the pins change.
$(VENV)/run.installed: EXTRAS := cli,view,config
$(VENV)/dev.installed: EXTRAS := dev
$(VENV)/docs.installed: EXTRAS := docs
$(VENV)/%.installed: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "installing maskc[$(EXTRAS)] into $(VENV) ..."
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation -e '.[$(EXTRAS)]'
	@touch $@

# Libraries whose hooks are tested; a folder of their own, since pip cannot resolve them in one.
$(PACKAGES)/installed: .ci/packages.txt | $(BIN)/python
	@echo "installing libraries that have hooks into $(PACKAGES) ..."
	@rm -rf $(PACKAGES)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	  --no-deps --no-compile --target $(PACKAGES) -r .ci/packages.txt
	@touch $@

# Triton beside a CPU build of torch; an environment of its own, since torch looks for triton.
$(KERNELS)/triton.installed: pyproject.toml $(CONSTRAINTS)
	@echo "installing maskc and triton into $(KERNELS) ..."
	@$(PYTHON) -m venv $(KERNELS)
	@$(KERNELS)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	  -c $(CONSTRAINTS) setuptools triton numpy pytest pytest-xdist hypothesis
	@$(KERNELS)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	  -c $(CONSTRAINTS) --no-build-isolation -e .
	@PYTHONPATH=tests/kernels $(KERNELS)/bin/python -c 'import versions; versions.check_versions()'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "maskc needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

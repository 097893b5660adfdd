# make demo: train a small network on synthetic streets, score it, show it.   make test: every test.
# Both set up a virtual environment first, from pinned versions (constraints.txt); for the newest ones: make CONSTRAINTS= …

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
WORKERS ?= 2

PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
PIN := $(if $(CONSTRAINTS),-c $(CONSTRAINTS))

.PHONY: help demo test test-all test-exports check docs docs-site clean
help:
	@echo "make demo         train on synthetic streets, score, segment pictures -> demo/index.html"
	@echo "make test         all the tests"
	@echo "make test-all     the same, with every recipe on its own network and every network traced, exported and compiled (not one of each kind)"
	@echo "make test-exports every network in every precision through ONNX Runtime and OpenVINO (hours)"
	@echo "make check        lint and types"
	@echo "make docs         write docs/networks.md and its drawings anew"
	@echo "make docs-site    the documentation as a site -> site/index.html"
	@echo "make clean        remove the environment and what the demo wrote"

demo: $(VENV)/.installed
	$(VENV)/bin/swath demo --out demo --overwrite

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal

test-all: export SWATH_TEST_ALL = 1
test-all: test

test-exports: export SWATH_TEST_EXPORTS = 1
test-exports: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile tests/deploy/test_exports_all.py tests/deploy/test_formats.py

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/mypy

# torch first and by itself: another package must not choose its version
$(VENV)/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "swath needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet $(PIN) "torch>=2.10"
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(PIP) install --quiet $(PIN) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml
	$(PIP) install --quiet $(PIN) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

docs: $(VENV)/.installed-dev
	$(VENV)/bin/python -m swath.catalogue docs

docs-site: $(VENV)/.installed-dev
	COLUMNS=100 $(VENV)/bin/python -m sphinx -b html -W --keep-going -q -d build/docs -c docs . site
	@echo site/index.html

clean:
	rm -rf $(VENV) demo build site

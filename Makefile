# make evolve   the whole loop on the pocket scale: makes the environment, runs four rounds, prints the tables
# make test     the tests: offline, CPU only
# make check    ruff, formatting, types
# make coverage what lines the tests reach in their own process; one test process, slower than make test
# make docs     the documentation as a site: build/docs/index.html
# make perf     the short form of the benchmarks, and one table of ratios (perf/README.md)
# Variables: PYTHON (3.11 to 3.13), RUN (folder of the run), RECIPE, JOBS (test processes).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/pocket
RECIPE ?= pocket
JOBS ?= 2

# the package is compiled once, not by each of the commands that tests start
unexport PYTHONDONTWRITEBYTECODE

.PHONY: evolve test test-slow coverage check format docs perf clean

evolve: $(VENV)/.installed
	$(BIN)/rstar evolve $(RECIPE) --out $(RUN)

test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

coverage: $(VENV)/.installed
	$(BIN)/coverage run -m pytest --numprocesses 0
	$(BIN)/coverage report

check: $(VENV)/.installed
	$(BIN)/ruff check src tests perf docs/conf.py
	$(BIN)/ruff format --check src tests perf docs/conf.py
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix src tests perf docs/conf.py
	$(BIN)/ruff format src tests perf docs/conf.py

docs: $(VENV)/.installed
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d build/doctrees docs build/docs

perf: $(VENV)/.installed
	$(BIN)/python perf/short.py

# torch comes first and pinned: asked for by another package, pip would take the newest build with its CUDA libraries
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "rstar-math needs Python 3.11 to 3.13; this is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,train,hub,docs,serve,gguf,ray]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

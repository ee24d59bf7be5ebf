# The two commands of a fresh clone are `make sweep` and `make test`. Both make a virtualenv and install into it on
# their first run only: the stamps are older than pyproject.toml when its dependencies may have changed.

VENV ?= .venv
PYTHON ?= python3
SWEEP_ARGS ?=
PROFILED_RECEIPTS ?= 100,130,160,190
PYTEST_ARGS ?=
# two workers a core: with them both cores are busy, and more take as long; no more than four, since each runs servers
PYTEST_WORKERS ?= 4
BENCH_ARGS ?=

# another virtualenv that happens to be active must not reach into ours; and hundreds of processes, some of them under
# valgrind, must not compile the package each for itself
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
# progress goes to stderr: the last line of `make sweep` on stdout is the report's path
say = @echo "$(1)" >&2

.DEFAULT_GOAL := help
.PHONY: help lab lab-copies sweep quick test lint bench docs clean

help:
	@echo "make sweep   install, run the profiled sweep, print the path of its HTML report  (SWEEP_ARGS='--rate 200')"
	@echo "make lab     JupyterLab on copies of the notebooks, in data/lab"
	@echo "make quick   install with the test tools, run the tests that need nothing but Python: 1 minute"
	@echo "make test    install with the test tools, run all tests                          (PYTEST_ARGS='-k receipts'; '-n 0': one process)"
	@echo "make lint    ruff check, ruff format --check, oxlint, mypy"
	@echo "make bench   the benchmarks of docs/benchmarks.md                                (BENCH_ARGS='--rounds 3')"
	@echo "make docs    the documentation as a site, in site/"
	@echo "make clean   remove the virtualenv and the caches"
	@echo "Python 3.11 to 3.13 is needed; choose one with PYTHON=python3.12, another place with VENV=path."

# 4: no step was a valid measurement (a busy machine); the report says so, and what it found of the limit stands
# The sweep toward the limit, then short ones under each profiler that is installed; what is not is said.
sweep: $(VENV)/.installed-run
	@$(VENV)/bin/workbench batch --profiled-receipts $(PROFILED_RECEIPTS) $(SWEEP_ARGS) || [ $$? -eq 4 ]

# copies: what is run leaves the tracked notebooks alone. One that is older than its notebook is kept beside the new one
LAB ?= data/lab
lab: $(VENV)/.installed-run lab-copies
	@$(VENV)/bin/jupyter lab --notebook-dir=. $(LAB)/00_start_here.ipynb

lab-copies: $(patsubst notebooks/%,$(LAB)/%,$(wildcard notebooks/*.ipynb))

$(LAB)/%.ipynb: notebooks/%.ipynb
	@mkdir -p $(LAB)
	@if [ -e $@ ]; then mv $@ $(basename $@).before.ipynb; fi
	@cp $< $@

test: $(VENV)/.installed-dev
	@$(VENV)/bin/python -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) * 2)) --maxprocesses $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder \
	  $(PYTEST_ARGS)

# what needs no tool, no process and no port, with few examples of each property (tests/quick.py)
quick: $(VENV)/.installed-dev
	@$(VENV)/bin/python -m pytest --quick -q -r fE -n $$(getconf _NPROCESSORS_ONLN) --maxprocesses $(PYTEST_WORKERS) --dist worksteal \
	  $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/oxlint --quiet workbench tests
	@$(VENV)/bin/mypy

bench: $(VENV)/.installed-dev $(VENV)/.installed-locust $(VENV)/.installed-rivals
	@$(VENV)/bin/python -m benchmarks.imports $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.small_reads $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.signing $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.load --locust $(VENV)/locust/bin/locust $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.processes $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.agreement $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.callgrind --gprof2dot $(VENV)/rivals/bin/gprof2dot $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.massif $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.speedscope $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.catalogue $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.pprof $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.strace --stracetools $(VENV)/rivals/bin/python $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.perf_script $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.flame $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.pages $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.network $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.scale $(BENCH_ARGS)
	@$(VENV)/bin/python -m benchmarks.sampler --rivals $(VENV)/rivals/bin $(BENCH_ARGS)

docs: $(VENV)/.installed-dev
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --quiet --strict
	@echo site/index.html

clean:
	@if [ -f "$(VENV)/pyvenv.cfg" ]; then rm -rf "$(VENV)"; fi
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site *.egg-info
	@find workbench tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "Python 3.11 to 3.13 is needed, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not to be run)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(call say,Making the virtualenv $(VENV))
	@$(PYTHON) -m venv $(VENV) >&2

$(VENV)/.installed-run: pyproject.toml $(wildcard workbench/profiles/readers/*/_kernel.c) | $(VENV)/bin/python
	$(call say,Installing the workbench into $(VENV) (about a minute))
# not compiled: most of what is installed is never imported, and the rest is compiled when it is
	@$(PIP) install --quiet --no-compile -e . >&2
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(wildcard workbench/profiles/readers/*/_kernel.c) | $(VENV)/bin/python
	$(call say,Installing the workbench and its test tools into $(VENV) (about a minute))
	@$(PIP) install --quiet -e '.[dev]' >&2
	@touch $@ $(VENV)/.installed-run

# Locust is compared with, not used, and pins versions of its own: it gets a virtualenv inside ours
$(VENV)/.installed-locust: | $(VENV)/bin/python
	$(call say,Installing Locust for the benchmark)
	@$(VENV)/bin/python -m venv $(VENV)/locust >&2
	@$(VENV)/locust/bin/python -m pip --disable-pip-version-check install --quiet locust >&2
	@touch $@

$(VENV)/.installed-rivals: | $(VENV)/bin/python
	$(call say,Installing gprof2dot, stracetools, py-spy and pyinstrument for the benchmarks)
	@$(VENV)/bin/python -m venv $(VENV)/rivals >&2
	@$(VENV)/rivals/bin/python -m pip --disable-pip-version-check install --quiet gprof2dot stracetools py-spy pyinstrument >&2
	@touch $@

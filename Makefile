# Everything runs inside .venv, which these targets create and keep up to date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= $(shell nproc)
# The tests run in as many processes as there are cores: threads of the linear algebra beside them only wait for each other.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)

.PHONY: demo test test-fast lint lock check-example figures docs site bench bench-overhead bench-accuracy accuracy-figures bench-report bench-fit-bias bench-background bench-scaling robustness clean help

help:                     ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

demo: $(VENV)/installed   ## create the environment, draw the example field, run the whole workflow
	$(SNAKEMAKE)

test: $(VENV)/installed   ## create the environment, run all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/mypy & types=$$!; $(ONE_THREAD) $(BIN)/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder; tests=$$?; wait $$types && exit $$tests

test-fast: $(VENV)/installed  ## run the unit tests only (a minute)
	$(ONE_THREAD) $(BIN)/python -m pytest tests/unit -n $(CORES)

lint: $(VENV)/installed   ## fix the code style, check the types
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow
	$(BIN)/mypy

check-example: demo       ## compare the example's catalogue with its truth: completeness, bias, pulls per band
	$(BIN)/python scripts/check_example.py results/catalogue.fits example/truth.fits results/check-example.png

figures: check-example    ## redraw the figures of the docs from the example's results (Chromium and DS9 where they are installed)
	mkdir -p docs/figures
	$(BIN)/python scripts/draw_readme_figure.py --results results --band irac-ch1 \
	    --image example/irac-ch1.fits --out docs/figures/irac-ch1.png
	$(BIN)/python scripts/draw_galaxy_figure.py --folder . --colours f814w,f125w,f160w --band irac-ch1 \
	    --out docs/figures/one-galaxy.png
	cp results/check-example.png docs/figures/check-example.png
	$(BIN)/python scripts/draw_adjusting.py --results results --override docs/adjusting-5.dat --out docs/figures
	$(BIN)/python tests/screen_figures.py --field . --out docs/figures

docs: $(VENV)/installed   ## regenerate the pages of the docs that are made from the code
	PYTHONPATH=scripts $(BIN)/python -c "from unblend.core.flags import markdown; print(markdown(), end='')" > docs/flags.md
	PYTHONPATH=scripts $(BIN)/python -c "from unblend.io.catalogue_columns import markdown; print(markdown(), end='')" > docs/columns.md
	PYTHONPATH=scripts $(BIN)/python -c "from unblend.plan.config_docs import markdown; print(markdown(), end='')" > docs/config.md
	PYTHONPATH=scripts $(BIN)/python -c "from unblend.plan.config_docs import schema_text; print(schema_text(), end='')" \
	    > workflow/schemas/config.schema.yaml

SITE := .venv-site
site:                     ## make the documentation site from docs/: site/index.html; a dead link is an error
	test -x $(SITE)/bin/sphinx-build || $(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	$(SITE)/bin/sphinx-build -W --keep-going -q -b html docs site
	@echo "site/index.html"

FIELDS ?= 180 1000
bench: $(VENV)/installed  ## whole runs of so many galaxies in four bands: time and memory of every stage, exponents, floor; FIELDS="180 1000 5000 20000" (10 min for 1000)
	$(BIN)/python tests/benchmarks/bench_workflow.py $(FIELDS) --cores $(CORES)

bench-overhead: $(VENV)/installed  ## overhead of the workflow besides fits: per source, planning, nothing to do (10 min)
	$(BIN)/python tests/benchmarks/bench_overhead.py --run 180 1000

SEEDS ?= 1
bench-accuracy: $(VENV)/installed  ## compare fluxes and errors with simulated truth, in bins: bench/accuracy.md; SEEDS="1 2" (30 min a seed)
	$(BIN)/python tests/benchmarks/bench_accuracy.py --cores $(CORES) --seeds $(SEEDS)

accuracy-figures:         ## copy the tables and figures of the last bench-accuracy into the docs
	cp bench/accuracy-fits.png bench/accuracy-noise.png bench/accuracy-pulls.png docs/figures/
	cp bench/accuracy.md docs/accuracy-table.md

PAGES ?= 1000 10000 100000
bench-report: $(VENV)/installed  ## reports of many sources in ten bands: time to write them, size, time in a browser (20 min, 15 GB of disk and of memory)
	$(BIN)/python tests/benchmarks/bench_report.py $(PAGES)

bench-fit-bias: $(VENV)/installed  ## bias of the fits as a function of n and r_e, and for faint galaxies (5 min)
	$(BIN)/python tests/benchmarks/bench_fit_bias.py --figure docs/figures/fit-bias.png

bench-background: $(VENV)/installed  ## compare the moving background with photutils and scipy: time, residual gradient
	$(BIN)/python tests/benchmarks/bench_background.py

SOURCES ?= 1000 2000 5000 10000 20000
bench-scaling: $(VENV)/installed  ## processor time and memory of the stages of a band against the number of sources (10 min)
	$(BIN)/python tests/benchmarks/bench_scaling.py $(SOURCES)

NUMBER ?= 1250
robustness: $(VENV)/installed  ## mutate inputs of every kind, count what becomes of them: docs/robustness.md (NUMBER of each; an hour)
	$(BIN)/python tests/benchmarks/robustness.py $(NUMBER)
	$(BIN)/python tests/benchmarks/whole_runs.py

lock: $(VENV)/bin/python  ## update the pinned versions in requirements.lock and envs/unblend.yaml
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	    --no-header --allow-unsafe --extra example --extra extinction --extra test --extra s3 --extra slurm --output-file requirements.lock pyproject.toml
	$(BIN)/python scripts/write_environment.py

clean:                    ## remove the example field, its results and the environment
	rm -rf example results .snakemake $(VENV)

$(VENV)/bin/python:
	$(PYTHON) scripts/check_machine.py
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python requirements.lock scripts/unblend/fits/one_core.cpp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r requirements.lock
	$(BIN)/python -m pip check --disable-pip-version-check
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # templates of packages are no Python
	$(BIN)/python scripts/build_one_core.py
	touch $@

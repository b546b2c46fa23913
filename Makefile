# Two commands do everything on a fresh machine: `make book` and `make test`.
PROFILE ?= embedded
SECTION ?=
PORT ?= 8000
PYTHON ?= python3
VENV := .venv
# What is imported is compiled once. Some machines forbid that, and each kernel would compile it anew.
unexport PYTHONDONTWRITEBYTECODE
BIN := $(VENV)/bin
# Nothing is written outside the checkout, unless it is told where.
export UV_CACHE_DIR ?= $(CURDIR)/$(VENV)/cache
export PIP_NO_CACHE_DIR ?= 1
READY := $(VENV)/.ready
ONLY := $(if $(SECTION),--section $(SECTION))

# Test processes share the cores, so each has one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses logical --maxprocesses 4 --maxschedchunk 1

.PHONY: book site pdf serve wheel tools check test release bench faults status publish lock clean

## book: run what is stale (PROFILE=embedded|seeds|real|paper|fast, SECTION=4.1), then build the site
book: $(READY)
	@status=0; $(BIN)/ctl run --profile $(PROFILE) $(ONLY) || status=$$?; \
	$(BIN)/ctl site --profile $(PROFILE) || status=$$?; exit $$status

## site: build the site from the results that are there, running nothing
site: $(READY)
	@$(BIN)/ctl site --profile $(PROFILE)

## pdf: build the site, then print it as one PDF (needs Chromium)
pdf: site
	@$(BIN)/ctl pdf

## serve: look at the built site in a browser
serve:
	@echo "http://localhost:$(PORT)"; $(PYTHON) -m http.server --directory _build/html $(PORT)

## wheel: the package as one file with all that notebooks read, to upload to Colab
wheel: $(READY)
	@rm -rf build  # which setuptools would add to
	@$(BIN)/uv build --quiet --wheel --out-dir _build; ls _build/*.whl

## tools: lint, types, who imports whom, licences of what is installed, and notebook pairs
tools: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pip-licenses --summary
	$(BIN)/ctl notebooks --check

## check: the tools, and the tests that are quick: two minutes on two cores
check: tools
	$(PYTEST) -m "not slow and not release"

## test: the whole test suite, which builds the site, and the tools beside it: a quarter of an hour on two cores
test: $(READY)
	@$(MAKE) --no-print-directory tools >$(VENV)/tools.log 2>&1 & tools=$$!; $(PYTEST); status=$$?; \
	wait $$tools || { cat $(VENV)/tools.log; exit 1; }; exit $$status

## release: every notebook in Colab's versions and in the oldest declared ones (Python 3.13 and 3.10)
release: $(READY)
	$(BIN)/pytest -m release tests/test_release.py

## bench: the engine against bare passes and storing every feature, streaming, costs of paradigms, many checkpoints
bench: $(READY)
	@$(BIN)/python benchmarks/bench.py
	@$(BIN)/python benchmarks/stream.py
	@$(BIN)/python benchmarks/cost.py
	@$(BIN)/python benchmarks/scale.py

## faults: runs killed, disks full, files damaged and weight files changed at random: an hour of a core
faults: $(READY)
	@$(BIN)/python benchmarks/faults.py

## status: every run, stored, stale or missing its data
status: $(READY)
	@$(BIN)/ctl status --profile $(PROFILE)

## publish: copy stored results into results/, to be committed
publish: $(READY)
	@$(BIN)/ctl publish --profile $(PROFILE) $(ONLY)

## lock: pin again what pyproject.toml asks for, keeping present pins where they fit
lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-annotate \
	  --no-header --generate-hashes pyproject.toml --output-file requirements.lock
	sed -i '1i # Exact pins and hashes of everything, for Python 3.10 and later, made from pyproject.toml by `make lock`.' \
	  requirements.lock

## clean: remove the site, run pages and stored runs; the environment stays
clean:
	rm -rf _build book/runs .ctl

# uv comes first, by pip, since it installs the rest in a third of pip's time.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed: make PYTHON=/path/to/python3")'
	@echo "making the environment in $(VENV) (6 GB, most of it torch)"; date +%s > .venv-start
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\]$$/p' requirements.lock | $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --require-hashes --requirement /dev/stdin
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@echo "environment made in $$(( $$(date +%s) - $$(cat .venv-start) )) s"; rm .venv-start; touch $@

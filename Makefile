# make run     the DAG once, on an embedded AWS        make check   ruff and mypy
# make up      Airflow and the page, to click through  make docs    the documentation, below build/docs
# make test    every kind of test                      make lock    refresh requirements/
# make bench   what a run costs, against targets       make clean   remove what the others made
# make test-long   longer profiles of the tests        make screenshots   the pictures in docs/images
# Everything is installed below this folder; only root's make test installs two programs from Debian.

# The versions that the tests run under come first. For 3.14 all packages are there, but nothing is tested.
PYTHON ?= $(shell for newest in 13 14; do for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$python -c "import ensurepip, sys, venv; sys.exit(not 11 <= sys.version_info[1] <= $$newest)" 2>/dev/null \
	&& echo $$python && exit; done; done)

export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_RETRIES := 2
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export UV_PYTHON_DOWNLOADS := never
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

PYTHONS_2_11 := >=3.11,<3.13
PYTHONS_3_1 := >=3.11,<3.14

UV := .venv/bin/uv
COMPILE := $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header

# $(ALONE) COMMAND: unless the same target is being made in this folder already
ALONE = .venv/bin/python scripts/alone.py build/locks/$@ "make $@ runs in this folder already: wait for its end."

# $(call install,COMMANDS): unless another make installs something; the target is made when all have succeeded
INSTALLER = .venv/bin/python
BUSY := Another make installs into this folder: try again when it has ended.
define install
	@echo "Installing $< into $(@D) ..."
	@$(INSTALLER) scripts/alone.py build/locks/install "$(BUSY)" sh -ec '$(1) touch $@' || { [ $$? -eq 75 ] || \
		echo "Nothing is usable in $(@D): installing takes a package registry, and room below this folder." >&2; exit 1; }
endef

# exactly the locked packages, and this project itself
SYNC = $(UV) pip sync --quiet --python $(@D)/bin/python --require-hashes --build-constraints $< --compile-bytecode $<;
PROJECT = $(UV) pip install --quiet --python $(@D)/bin/python --offline --no-deps --no-build-isolation --editable .;

.PHONY: help run up test test-long test-airflow2 test-airflow31 test-nightly mutations bench screenshots docs check lock clean

help:
	@head -6 Makefile | cut -c3-

run: .venv/.installed
	@$(ALONE) .venv/bin/python scripts/demo.py

up: .venv/.installed
	@.venv/bin/python scripts/up.py

# A file's tests share what they start, so they stay together; files are taken as they are sorted, the short ones last.
# Three at once keep two cores busy: tests wait for processes and time-outs.
PYTEST = bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test: .venv/.installed .venv-ministack/.installed
	@echo "make test takes eight to ten minutes on two idle cores."
	@.venv/bin/python -m tests.needs
	@$(ALONE) .venv/$(PYTEST) -m 'not long'

test-long: .venv/.installed .venv-ministack/.installed
	@echo "make test-long takes about twenty minutes on two idle cores."
	@.venv/bin/python -m tests.needs
	@$(ALONE) .venv/$(PYTEST) -m long

test-airflow2: .venv-airflow2/.installed
	@echo "make test-airflow2 takes about five minutes on two idle cores."
	@.venv-airflow2/$(PYTEST) -m 'not long' -k 'not ministack' tests/unit tests/integration tests/system/test_cleared_runs.py

test-airflow31: .venv-airflow31/.installed
	@.venv-airflow31/bin/python -m pytest tests/unit/test_status_view.py tests/system/test_status_api.py

test-nightly: .venv/.installed .venv-ministack/.installed
	@.venv/bin/python -m tests.needs
	@HYPOTHESIS_PROFILE=nightly $(ALONE) .venv/$(PYTEST)

mutations: .venv/.installed
	@$(ALONE) .venv/bin/python -m tests.interleavings

bench: .venv/.installed
	@.venv/bin/python -m benchmarks $(ROWS)

screenshots: .venv/.installed
	@.venv/bin/python -m tests.needs chromium
	@SCREENSHOTS="$(CURDIR)/docs/images" $(ALONE) .venv/bin/python -m pytest tests/system/test_status_page.py

docs: .venv/.installed
	@AIRFLOW_HOME="$(CURDIR)/.airflow" $(ALONE) sh -ec 'rm -rf build/docs; exec .venv/bin/python -m sphinx --quiet --fresh-env \
		--fail-on-warning --keep-going --doctree-dir .cache/docs docs build/docs'
	@echo "build/docs/index.html"

check: .venv/.installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# The 2.11 environment has the lowest versions that pyproject.toml allows, the others the newest, but for Airflow 3.1:
# 3.1.7 is the last one whose guards take a DAG from the route alone.
lock: $(UV)
	@echo "make lock asks a package registry for the newest versions, for a minute or two."
	@$(UV) pip compile --quiet --no-cache --group lock >/dev/null 2>&1 || { \
		echo "No package registry answers." >&2; exit 1; }
	$(COMPILE) pyproject.toml --extra aiobotocore --extra embedded --group install --group test --group system --group bench \
		--group browser --group docs --group package --group check --group lock \
		--output-file requirements/airflow3.txt
	$(COMPILE) pyproject.toml --extra aiobotocore --extra embedded --group install --group test --resolution lowest-direct \
		--output-file requirements/airflow2.txt
	echo 'apache-airflow==3.1.7' | $(COMPILE) pyproject.toml --extra embedded --group install --group test \
		--group browser --constraints - \
		--output-file requirements/airflow31.txt
	$(COMPILE) --group lock --constraints requirements/airflow3.txt \
		--output-file requirements/uv.txt
	$(COMPILE) --group ministack \
		--output-file requirements/ministack.txt
	@touch $(UV)

clean:
	rm -rf .venv .venv-airflow2 .venv-airflow31 .venv-ministack .cache .airflow build .pytest_cache .mypy_cache .ruff_cache

$(UV): INSTALLER = "$(PYTHON)"
$(UV): requirements/uv.txt
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 to 3.14 with its modules venv and ensurepip is missing (Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(call install,$(INSTALLER) -m venv --clear .venv; \
		.venv/bin/python -m pip install -qq --require-hashes --requirement $<;)

.venv/.installed: requirements/airflow3.txt pyproject.toml $(UV)
	$(call install,$(SYNC) $(PROJECT))

.venv-airflow2/.installed: requirements/airflow2.txt pyproject.toml $(UV)
	@$(UV) python find --quiet '$(PYTHONS_2_11)' >/dev/null 2>&1 || { \
		echo "Airflow 2.11 needs Python 3.11 or 3.12: put a python3.11 or python3.12 into the PATH." >&2; exit 1; }
	$(call install,$(UV) venv --quiet --clear --python "$(PYTHONS_2_11)" $(@D); $(SYNC) $(PROJECT))

.venv-airflow31/.installed: requirements/airflow31.txt pyproject.toml $(UV)
	@$(UV) python find --quiet '$(PYTHONS_3_1)' >/dev/null 2>&1 || { \
		echo "Airflow 3.1 needs Python 3.11, 3.12 or 3.13: put a python3.13 into the PATH." >&2; exit 1; }
	$(call install,$(UV) venv --quiet --clear --python "$(PYTHONS_3_1)" $(@D); $(SYNC) $(PROJECT))

# ministack pins its own botocore, so it has an environment to itself.
.venv-ministack/.installed: requirements/ministack.txt $(UV)
	$(call install,$(UV) venv --quiet --clear --python .venv/bin/python $(@D); $(SYNC))

# make run     the DAG once, on an embedded AWS        make check   ruff and mypy
# make up      Airflow and the page, to click through  make docs    the documentation, below build/docs
# make test    every test                              make lock    refresh requirements/
# make bench   what a run costs, against targets       make clean   remove what the others made
# make screenshots   the pictures in docs/images, by the browser test
# Everything is installed below this folder.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export UV_PYTHON_DOWNLOADS := never
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

UV := .venv/bin/uv
COMPILE := $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header

# $(call sync,FOLDER,REQUIREMENTS): exactly the locked packages
define sync
	@echo "Installing $(2) into $(1) ..."
	@$(UV) pip sync --quiet --python $(1)/bin/python --require-hashes --build-constraints $(2) --compile-bytecode $(2)
endef

# $(call install,FOLDER,REQUIREMENTS): the same, and this project itself
define install
	$(call sync,$(1),$(2))
	@$(UV) pip install --quiet --python $(1)/bin/python --offline --no-deps --no-build-isolation --editable .
	@touch $@
endef

.PHONY: help run up test test-airflow2 test-airflow31 test-nightly bench screenshots docs check lock clean

help:
	@head -5 Makefile | cut -c3-

run: .venv/.installed
	@.venv/bin/python scripts/demo.py

up: .venv/.installed
	@.venv/bin/python scripts/up.py

test: .venv/.installed .venv-ministack/.installed
	@.venv/bin/python -m pytest -n 2 --dist loadfile

test-airflow2: .venv-airflow2/.installed
	@STORMS=3 .venv-airflow2/bin/python -m pytest -n 2 --dist loadfile -k 'not ministack' tests/unit tests/integration \
		tests/system/test_cleared_runs.py

test-airflow31: .venv-airflow31/.installed
	@.venv-airflow31/bin/python -m pytest tests/unit/test_status_view.py tests/system/test_status_api.py

test-nightly: .venv/.installed .venv-ministack/.installed
	@INTERLEAVINGS_SECONDS=300 HYPOTHESIS_PROFILE=nightly .venv/bin/python -m pytest -n 2 --dist loadfile

bench: .venv/.installed
	@.venv/bin/python -m benchmarks

screenshots: .venv/.installed
	@SCREENSHOTS=$(CURDIR)/docs/images .venv/bin/python -m pytest tests/system/test_status_page.py

docs: .venv/.installed
	@rm -rf build/docs
	@AIRFLOW_HOME=$(CURDIR)/.airflow .venv/bin/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going \
		--doctree-dir .cache/docs docs build/docs
	@echo "build/docs/index.html"

check: .venv/.installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# The 2.11 environment has the lowest versions that pyproject.toml allows, the others the newest, but for Airflow 3.1:
# 3.1.7 is the last one whose guards take a DAG from the route alone.
lock: $(UV)
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

$(UV): requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is missing." >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { echo "$(PYTHON) has no venv (Debian: apt-get install python3-venv)." >&2; exit 1; }
	@.venv/bin/pip install --quiet --require-hashes --requirement $<
	@touch $@

.venv/.installed: $(UV) requirements/airflow3.txt pyproject.toml
	$(call install,.venv,requirements/airflow3.txt)

.venv-airflow2/.installed: $(UV) requirements/airflow2.txt pyproject.toml
	@$(UV) venv --quiet --clear --python '>=3.11,<3.13' .venv-airflow2 || { \
		echo "Airflow 2.11 needs Python 3.11 or 3.12: put a python3.11 or python3.12 into the PATH." >&2; exit 1; }
	$(call install,.venv-airflow2,requirements/airflow2.txt)

.venv-airflow31/.installed: $(UV) requirements/airflow31.txt pyproject.toml
	@$(UV) venv --quiet --clear --python .venv/bin/python .venv-airflow31
	$(call install,.venv-airflow31,requirements/airflow31.txt)

# ministack pins its own botocore, so it has an environment to itself.
.venv-ministack/.installed: $(UV) requirements/ministack.txt
	@$(UV) venv --quiet --clear --python .venv/bin/python .venv-ministack
	$(call sync,.venv-ministack,requirements/ministack.txt)
	@touch $@

# `make` lists the targets. Everything is installed into .venv on first use; nothing outside the
# checkout is touched.

# A Python >= 3.11 to make .venv with; by default the first of python3, python3.13 … python3.11.
PYTHON ?=
# The run server or compatible service that `make demo` talks to; by default it starts its own.
# A key goes in the environment variable API_KEY, which keeps it out of the list of processes.
URL ?=

# Airflow must not make its home in ~/airflow.
export AIRFLOW_HOME := $(CURDIR)/.airflow

RUN := .venv/bin/python
READY := .venv/.ready
READY_OLDEST := .venv-oldest/.ready
READY_BENCH := .venv-bench/.ready
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo airflow check format lint types test test-oldest e2e e2e-full bench provider-info \
	requirements clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## cancel a run and wait until it has ended; options: URL=, API_KEY in the environment
	@$(RUN) dev/demo.py $(if $(URL),--url '$(URL)')

airflow: $(READY) ## a full local Airflow with the provider and its example DAGs, until Ctrl-C
	@$(RUN) -m dev.run_airflow

check: lint types test ## all that needs no running Airflow: format, lint, types, tests with coverage

format: $(READY) ## format the code and repair what the linter can
	$(RUN) -m ruff format
	$(RUN) -m ruff check --fix

lint: $(READY) ## check the format and lint
	$(RUN) -m ruff format --check
	$(RUN) -m ruff check

types: $(READY) ## check the types
	$(RUN) -m mypy

test: $(READY) ## unit and integration tests, with the gate on branch coverage
	$(RUN) -m pytest tests --ignore=tests/e2e --ignore=tests/e2e_full --cov

test-oldest: $(READY_OLDEST) ## unit and integration tests on the oldest supported Airflow
	AIRFLOW_HOME='$(AIRFLOW_HOME)/oldest' .venv-oldest/bin/python -m pytest tests/unit tests/integration

e2e: $(READY) ## tests with a real scheduler, triggerer and API server; a few minutes
	$(RUN) -m pytest tests/e2e

e2e-full: $(READY) ## every way a task can end, on a real Airflow with PostgreSQL; ten minutes
	$(RUN) -m pytest tests/e2e_full

bench: $(READY) $(READY_BENCH) ## run the benchmarks and print their table; about three minutes
	@$(RUN) -m benchmarks

provider-info: $(READY) ## write airflow_provider_runs/provider_info.py anew from the backends
	$(RUN) -m dev.provider_info airflow_provider_runs/provider_info.py
	$(RUN) -m ruff format airflow_provider_runs/provider_info.py

requirements: $(READY) ## pin the newest versions of dev/requirements.in in dev/requirements.txt
	.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--no-annotate --no-header --output-file dev/requirements.txt dev/requirements.in

clean: ## remove .venv and all that was made here
	rm -rf .venv .venv-bench .venv-oldest .airflow .demo dist htmlcov .coverage .coverage.* .hypothesis
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(READY): dev/requirements.txt pyproject.toml dev/make_venv.sh
	@dev/make_venv.sh '$(PYTHON)'
	@touch $@

$(READY_OLDEST): dev/requirements-oldest.txt pyproject.toml dev/make_venv.sh
	@dev/make_venv.sh '$(PYTHON)' .venv-oldest dev/requirements-oldest.txt
	@touch $@

$(READY_BENCH): benchmarks/requirements.txt dev/requirements.txt pyproject.toml dev/make_venv.sh
	@dev/make_venv.sh '$(PYTHON)' .venv-bench benchmarks/requirements.txt
	@touch $@

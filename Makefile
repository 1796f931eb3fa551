# `make` lists the targets. Everything is installed into .venv on first use; nothing outside the
# checkout is touched.

# A Python >= 3.11 to make .venv with; by default the first of python3, python3.13 … python3.11.
PYTHON ?=
# The run server or compatible service that `make demo` talks to; by default it starts its own. On one
# that is not its own it only cancels runs.
# A key goes in the environment variable API_KEY, which keeps it out of the list of processes. It is
# reached by the environment's proxy, if any; nothing else here uses one, but to install packages.
URL ?=
# Whose API `make demo` speaks, assistants or langgraph; by default assistants.
BACKEND ?=
# Options of `make bench`; BENCH=--help lists them.
BENCH ?=

# What starts an Airflow gives it a home of its own, see dev/own_environment.py; but should anything
# else import Airflow, it must not make its home in ~/airflow.
export AIRFLOW_HOME := $(CURDIR)/.airflow

# With -E no PYTHONPATH and the like of the caller's changes what is run.
RUN := .venv/bin/python -E
READY := .venv/.ready
READY_OLDEST := .venv-oldest/.ready
READY_BENCH := .venv-bench/.ready
READY_LANGGRAPH := .venv-langgraph/.ready
# Most tests wait most of the time, so more of them than there are cores.
ABREAST := -n 4 --dist loadfile
PINS := --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo airflow check format lint types test hostile test-oldest test-environment \
	test-langgraph e2e e2e-full pictures bench provider-info requirements clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## cancel runs, and start runs once; options: BACKEND=langgraph, URL=, API_KEY
	@$(RUN) -m dev.demo $(if $(BACKEND),--backend '$(BACKEND)') $(if $(URL),--url '$(URL)')

# With BACKEND=langgraph, and without a URL, it starts a server of its own.
ifeq ($(BACKEND)$(URL),langgraph)
demo: $(READY_LANGGRAPH)
endif

airflow: $(READY) ## a full local Airflow with the provider and its example DAGs, until Ctrl-C
	@$(RUN) -m dev.run_airflow

check: lint types test ## all checks that need no running Airflow: format, lint, types, tests with coverage

format: $(READY) ## format the code and fix what the linter can
	$(RUN) -m ruff format
	$(RUN) -m ruff check --fix

lint: $(READY) ## check the format and lint
	$(RUN) -m ruff format --check
	$(RUN) -m ruff check

types: $(READY) ## check the types
	$(RUN) -m mypy

test: $(READY) ## unit, integration and quick hostile tests, with the gate on branch coverage
	$(RUN) -m pytest tests/unit tests/integration tests/testing tests/packaging tests/hostile \
		$(ABREAST) --cov

hostile: $(READY) ## all hostile answers, drips, bombs and 400,000 fuzzed answers; ten minutes
	HOSTILE=full $(RUN) -m pytest tests/hostile -n 2 --dist loadfile

test-oldest: $(READY_OLDEST) ## unit and integration tests on the oldest supported Airflow
	# Without the kills at every step: minutes, for what is not Airflow's.
	.venv-oldest/bin/python -E -m pytest tests/unit tests/integration $(ABREAST) \
		--ignore tests/integration/starts/test_start_kills.py

test-environment: $(READY) ## demo and unit tests in the shell of somebody who has an Airflow already
	$(RUN) -m dev.foreign_environment $(MAKE) demo
	# Without -E, as one calls pytest by hand.
	$(RUN) -m dev.foreign_environment .venv/bin/python -m pytest tests/unit $(ABREAST)

test-langgraph: $(READY) $(READY_LANGGRAPH) ## tests with a real LangGraph Agent Server; a few minutes
	$(RUN) -m pytest tests/agent_server -n 2 --dist loadfile

e2e: $(READY) $(READY_LANGGRAPH) ## tests with a real Airflow, and in its UI with a browser; ten minutes
	@dev/need.sh chromium 'command -v chromium'
	$(RUN) -m pytest tests/e2e
	$(RUN) -m pytest tests/e2e_browser

e2e-full: $(READY) ## every way a task can end, on a real Airflow with PostgreSQL; ten minutes
	@dev/need.sh postgresql 'command -v postgres || ls /usr/lib/postgresql/*/bin/postgres'
	$(RUN) -m pytest tests/e2e_full

pictures: $(READY) ## take the README's pictures of Airflow's UI again, into docs/images
	@dev/need.sh chromium 'command -v chromium'
	PICTURES='$(CURDIR)/docs/images' $(RUN) -m pytest tests/e2e_browser/test_pictures.py

bench: $(READY) $(READY_BENCH) ## run the benchmarks and print their table; ten minutes, BENCH=--quick one
	@$(RUN) -m benchmarks $(BENCH)

provider-info: $(READY) ## generate airflow_provider_runs/provider_info.py from the backends
	$(RUN) -m dev.provider_info airflow_provider_runs/provider_info.py
	$(RUN) -m ruff format airflow_provider_runs/provider_info.py

requirements: $(READY) ## pin the newest versions that dev/requirements*.in allow, except the oldest
	.venv/bin/uv pip compile $(PINS) --output-file dev/requirements.txt dev/requirements.in
	.venv/bin/uv pip compile $(PINS) --output-file dev/requirements-langgraph.txt \
		dev/requirements-langgraph.in

clean: ## remove .venv and everything else that was generated here
	rm -rf .venv .venv-bench .venv-langgraph .venv-oldest
	rm -rf .airflow .demo dist htmlcov .coverage .coverage.* .hypothesis
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(READY): dev/requirements.txt pyproject.toml dev/make_venv.sh
	@dev/make_venv.sh '$(PYTHON)'
	@touch $@

$(READY_OLDEST): dev/requirements-oldest.txt pyproject.toml dev/make_venv.sh
	@dev/make_venv.sh '$(PYTHON)' .venv-oldest dev/requirements-oldest.txt
	@touch $@

# The other service's, with neither the project nor Airflow in it.
$(READY_LANGGRAPH): dev/requirements-langgraph.txt dev/make_venv.sh
	@dev/make_venv.sh '$(PYTHON)' .venv-langgraph dev/requirements-langgraph.txt none
	@touch $@

$(READY_BENCH): benchmarks/requirements.txt dev/requirements.txt pyproject.toml dev/make_venv.sh
	@dev/make_venv.sh '$(PYTHON)' .venv-bench benchmarks/requirements.txt
	@touch $@

# The two commands of the README are `make demo` and `make test`; both make the environment first.
PYTHON ?= python3
VENV ?= .venv
# `make env INSTALL="uv pip install --python .venv/bin/python"` works as well.
# Python compiles what is imported, when it is: all of the packages would take minutes.
INSTALL ?= $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile
BIN := $(VENV)/bin

# Tests and runs start many processes: where nothing is kept, each of them compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 180

.PHONY: env demo test lint types layers unit docs bench lock up down clean

env: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -c constraints.txt -e '.[dev]'
	touch $@

demo: env
	$(BIN)/thalweg run recipes/demo.yaml

test: lint types layers unit docs

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env
	$(BIN)/mypy

layers: env
	$(BIN)/lint-imports

# Once, before several processes would compile the same three thousand modules side by side.
$(VENV)/.compiled: $(VENV)/.ready
	$(BIN)/python -m pytest --collect-only -q >/dev/null || true  # the tests say what is wrong
	touch $@

unit: $(VENV)/.compiled
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadgroup --durations 20

docs: env
	$(BIN)/mkdocs build --quiet --strict

bench: env
	for each in start pipeline evaluation conditioning loader residence ranks rivals earthformer boon; do echo "== $$each"; OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$each.py || exit 1; done

# Prefect, MLflow and a worker on loopback, with the schedules of deployments/prefect.yaml.
RUN := .run
STORE ?= thalweg-store
up down: export PREFECT_HOME := $(abspath $(RUN))/prefect
up down: export PREFECT_API_URL := http://127.0.0.1:4200/api
# Without it MLflow starts helper processes that outlive it.
up: export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
START = setsid nohup $(2) >$(RUN)/$(1).log 2>&1 & echo $$! >$(RUN)/$(1).pid

up: env
	mkdir -p $(RUN) $(STORE)
	$(call START,prefect,$(BIN)/prefect server start --host 127.0.0.1 --port 4200)
	$(call START,mlflow,$(BIN)/mlflow server --backend-store-uri sqlite:///$(abspath $(STORE))/mlflow.db \
	  --artifacts-destination $(abspath $(STORE))/mlartifacts --host 127.0.0.1 --port 5000 --workers 1)
	for i in $$(seq 120); do $(BIN)/python -c "import urllib.request as u; u.urlopen('$(PREFECT_API_URL)/health')" \
	  2>/dev/null && break; sleep 1; done
	$(BIN)/prefect --no-prompt work-pool inspect thalweg >/dev/null 2>&1 \
	  || $(BIN)/prefect --no-prompt work-pool create thalweg --type process
	$(BIN)/prefect --no-prompt deploy --all --prefect-file deployments/prefect.yaml
	$(call START,worker,$(BIN)/prefect worker start --pool thalweg)
	@echo "Prefect http://127.0.0.1:4200   MLflow http://127.0.0.1:5000   stop both with: make down"

down:
	for each in worker mlflow prefect; do \
	  test -f $(RUN)/$$each.pid && kill -INT -$$(cat $(RUN)/$$each.pid); rm -f $(RUN)/$$each.pid; done; true

clean:
	rm -rf $(VENV) site thalweg-store .mypy_cache .ruff_cache .pytest_cache

# Every version pinned, on top of what was run before; torch without the local build's suffix.
lock:
	uv pip compile pyproject.toml --all-extras --quiet --no-annotate --no-header --no-emit-package thalweg \
	  -c constraints.txt -o constraints.new
	sed -e 's/^torch==.*/torch==2.13.0/' constraints.new > constraints.txt
	rm constraints.new

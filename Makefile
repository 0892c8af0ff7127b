# The two commands of the README are `make demo` and `make test`; both make the environment first.
PYTHON ?= python3
VENV ?= .venv
# `make env INSTALL="uv pip install --python .venv/bin/python"` works as well.
INSTALL ?= $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
BIN := $(VENV)/bin

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

unit: env
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

docs: env
	$(BIN)/mkdocs build --quiet --strict

bench: env
	for each in start pipeline evaluation; do echo "== $$each"; OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$each.py || exit 1; done

clean:
	rm -rf $(VENV) site thalweg-store .mypy_cache .ruff_cache .pytest_cache

# Every version pinned, on top of what was run before; torch without the local build's suffix.
lock:
	uv pip compile pyproject.toml --all-extras --quiet --no-annotate --no-header --no-emit-package thalweg \
	  -c constraints.txt -o constraints.new
	sed -e 's/^torch==.*/torch==2.13.0/' constraints.new > constraints.txt
	rm constraints.new

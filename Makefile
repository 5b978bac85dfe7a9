PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: corr_grid test test-faults setup

corr_grid: setup
	memreg db init
	mlflow run . -e corr_grid --env-manager local --experiment-name memreg

test: setup
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	pytest -n 2 --cov --cov-report=term $(PYTEST_ARGS)

test-faults: setup
	MEMREG_FAULTS=all pytest -n 2 tests/faults $(PYTEST_ARGS)

setup: .venv/.installed

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev,postgres]'
	touch $@

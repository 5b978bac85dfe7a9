PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: corr_grid test setup

corr_grid: setup
	memreg db init
	mlflow run . -e corr_grid --env-manager local --experiment-name memreg

test: setup
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	pytest -n 2 --cov --cov-report=term $(PYTEST_ARGS)

setup: .venv/.installed

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev,postgres]'
	touch $@

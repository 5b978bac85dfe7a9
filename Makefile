PYTHON ?= python3
BIN := .venv/bin
LOWEST := .venv-lowest/bin
REGISTRY_TESTS := $(addprefix tests/,$(addsuffix .py,registry/test_connection registry/test_reading registry/test_shards \
	exchange/test_exchange studies/test_study))
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: corr_grid check lint test test-slow test-lowest test-faults setup

corr_grid: setup
	memreg db init
	mlflow run . -e corr_grid --env-manager local --experiment-name memreg

# What a change should pass before it is committed: a minute and a half.
check: lint
	pytest -n 2 -q -m "not slow and not at_length" $(PYTEST_ARGS)

lint: setup
	ruff check .
	ruff format --check .
	mypy
	lint-imports

test: lint
	pytest -n 2 --dist loadfile -m "not at_length" --cov --cov-report=term $(PYTEST_ARGS)

# Fuzzing at length: two minutes.
test-slow: setup
	pytest -n 2 -m at_length $(PYTEST_ARGS)

# The smoke grid and the registry's tests on the lowest versions that pyproject.toml promises.
test-lowest: export PATH := $(CURDIR)/$(LOWEST):$(PATH)
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/pip install --quiet uv
	uv pip install --python $(LOWEST)/python --resolution lowest-direct --editable '.[dev,mysql,postgres,zarr]'
	registry=$$(mktemp -d) && MLFLOW_TRACKING_URI=sqlite:///$$registry/mlflow.db \
		mlflow run . -e corr_grid --env-manager local --experiment-name memreg -P grid=smoke && rm -r $$registry
	pytest -n 2 $(REGISTRY_TESTS) $(PYTEST_ARGS)

test-faults: setup
	MEMREG_FAULTS=all pytest -n 2 tests/faults $(PYTEST_ARGS)

setup: .venv/.installed

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

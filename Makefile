# `make bench` sets up and runs the main job; `make test` sets up and runs the tests, `make test-fast`
# those that start no process and take less than 0.2 s; `make faults` injects faults; `make lint` runs the linters.
PYTHON ?= python3
BIN := .venv/bin
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
unexport PYTHONDONTWRITEBYTECODE
# one thread per process unless told: two busy processes with two threads each are slower on two cores
export OMP_NUM_THREADS ?= 1

# a file's tests share what they set up; files come in the order of tests/conftest.py, the longest first; xdist waits for
# ever for the tests of a worker that has died and been replaced
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0

# of the campaign of injected faults: --quick, --full, --prove or --page
ARGS ?= --quick --workers 2

.PHONY: bench test test-fast faults lint clean
bench: .venv/installed
	$(BIN)/bench run --suite all

test: .venv/installed-dev
	$(PYTEST)

test-fast: .venv/installed-dev
	$(PYTEST) -m "not process and not slow"

faults: .venv/installed-dev
	PYTHONPATH=tests $(BIN)/python -m faults $(ARGS)

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/deptry . --extend-exclude "tests|benchmarks" --optional-dependencies-dev-groups dev
	$(BIN)/bench leaderboard --check --readme README.md

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv runs

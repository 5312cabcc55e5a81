# The two commands of the README: `make book` and `make test`. Each sets up all it needs in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# What pip is told besides; "auto": on Linux without an NVIDIA GPU, PyTorch's index of CPU builds where it answers
# at once, for PyPI's torch brings gigabytes of CUDA.
PIP_FLAGS ?= auto
CPU_TORCH ?= https://download.pytorch.org/whl/cpu
PRESET ?=
# `make book PDF=1`: a PDF of each chapter too, where Chromium or Chrome is found.
PDF ?=
BIN := .venv/bin
# What is installed is what the lock holds, by its hashes, and nothing that a package asks for besides.
INSTALL = $(BIN)/pip install --quiet --no-deps --require-hashes
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
# Two at once, a file of tests in one process, since a file's tests share what is costly (the built book).
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: book test check axe coverage style lint bench architectures faults mutants release release-ready release-files setup \
  pip-flags clean

book: setup
	$(BIN)/safetune book $(if $(PRESET),--preset $(PRESET)) $(if $(PDF),--pdf)

# What CI runs: style, rooms, types, and the tests with a named sample of what is slow.
test: style axe
	$(PYTEST) -m "not slow or sample"

# All of it, the slow tests too: before an issue is called resolved.
check: style axe
	$(PYTEST)

# axe-core, by its hash, which looks for faults of access; without npm these tests are skipped and say so.
axe: tests/axe/node_modules/.ready

tests/axe/node_modules/.ready: tests/axe/package-lock.json
	! command -v npm > /dev/null || { npm ci --silent --prefix tests/axe && touch $@; }

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

# The page "What it survives": runs that are killed, full disks, damaged files, servers that hang and more, in about
# an hour on two slow cores. A part by its name: `make faults ONLY="disk clock" SEED=7`.
SEED ?= 0
faults: setup
	PYTHONPATH=$(CURDIR) $(BIN)/python benchmarks/faults.py --seed $(SEED) $(if $(ONLY),--only $(ONLY))

# Do the tests notice when the code is changed? A sample of 300 changes; the next call goes on where one stopped.
mutants: setup
	PYTHONPATH=$(CURDIR) $(BIN)/python benchmarks/mutants.py

.venv/.bench-ready: .venv/.ready
	CXXFLAGS="-fno-tree-dse -fno-dse" $(BIN)/pip install --quiet $$($(MAKE) --silent pip-flags) --constraint constraints.txt --editable '.[book,dev,bench]'
	touch $@

# A release: the tests, the book, the files of dist/ and, last, the tag. Nothing leaves this machine.
release: release-ready check book release-files
	git tag --annotate v$(VERSION) --message "Version $(VERSION)"
	@echo "The tag v$(VERSION) and dist/ are made. To publish: git push origin v$(VERSION), and attach the files of dist/"

release-ready:
	@test -z "$$(git status --porcelain)" || { echo "there are changes: commit them first" >&2; exit 1; }
	@! git rev-parse --quiet --verify refs/tags/v$(VERSION) >/dev/null || { echo "v$(VERSION) is there: raise the version in pyproject.toml" >&2; exit 1; }
	@grep -q "^## $(VERSION)" CHANGELOG.md || { echo "CHANGELOG.md has no heading '## $(VERSION)': say what changed" >&2; exit 1; }

# What is published: the site, the source, the wheel, a bill of materials in CycloneDX's form and the licences of all
# that .venv holds and of the weights, and the checksums. The same commit gives the same archives.
release-files: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
release-files: setup .release/.ready
	rm -rf dist
	mkdir dist
	git archive --prefix=safetune-$(VERSION)/ --output dist/safetune-$(VERSION)-source.tar.gz HEAD
	tar --directory _build --create --sort=name --mtime=@$$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner \
	  --mode=u=rwX,go=rX --use-compress-program='gzip --no-name' --file dist/safetune-$(VERSION)-site.tar.gz html
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist dist/safetune-$(VERSION)-source.tar.gz
	.release/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-format JSON \
	  --output-file dist/safetune-$(VERSION).cdx.json $(BIN)/python
	.release/bin/pip-licenses --python $(BIN)/python --with-urls --format=markdown --output-file dist/packages.md
	{ cat data/weights/README.md; echo; cat DATA_LICENSE; printf '\n# Packages\n\n'; cat dist/packages.md; } \
	  > dist/safetune-$(VERSION)-licences.md
	rm dist/packages.md
	cd dist && sha256sum -- * > SHA256SUMS

# The tools of a release, apart from what they describe.
.release/.ready: requirements-release.txt
	$(PYTHON) -m venv --clear .release
	.release/bin/pip install --quiet --require-hashes --requirement requirements-release.txt
	touch $@

lint: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format safetune_utils tests benchmarks notebooks

setup: .venv/.ready

.venv/.ready: pyproject.toml requirements-lock.txt requirements-lock-cuda.txt requirements-model.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5))' || { echo "Python 3.11.5 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) $$($(MAKE) --silent pip-flags) --requirement requirements-lock.txt
	@# The parts of PyTorch that only its build with CUDA needs.
	! $(BIN)/python -c 'import sys; from importlib.metadata import version; sys.exit(sys.platform != "linux" or "+cpu" in version("torch"))' || $(INSTALL) --requirement requirements-lock-cuda.txt
	$(INSTALL) --requirement requirements-model.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# What pip is told, by PIP_FLAGS.
pip-flags:
ifeq ($(PIP_FLAGS),auto)
	@if [ "$$(uname)" = Linux ] && ! [ -e /dev/nvidiactl ] && $(PYTHON) -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=3)' $(CPU_TORCH)/torch/ 2>/dev/null; then echo "--extra-index-url $(CPU_TORCH)"; fi
else
	@echo "$(PIP_FLAGS)"
endif

clean:
	rm -rf _build executed runs mutants dist .release

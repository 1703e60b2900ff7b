PYTHON ?= python3
BIN := .venv/bin
OUTPUT ?= build/quickstart
COMPAT := .venv-compat
OTHERS := transformers-4 transformers-4-oldest transformers-5 tokenizers
ON_LOWEST := $(addprefix tests/,text sources data card core model d2l/test_published.py)

.PHONY: help quickstart test test-compat style quality clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

# d2l's own code is what the tests compare with, older versions included; of what it would install, they need none.
.venv/installed-tests: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(BIN)/pip install --quiet --no-deps d2l==1.0.3
	$(BIN)/pip install --quiet --no-deps --upgrade --target .venv/d2l/0.16.6 d2l==0.16.6
	$(BIN)/pip install --quiet --no-deps --upgrade --target .venv/d2l/0.17.6 d2l==0.17.6
	@touch $@

quickstart: .venv/installed  ## set up, then convert, fine-tune, evaluate and predict on the built-in sample
	$(BIN)/hf-nli quickstart --output_dir $(OUTPUT)

test: .venv/installed-tests  ## set up, then run all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

# PyTorch and pytest, installed once: the environments below see them by a path file, and nothing else of the project.
$(COMPAT)/base/installed: constraints.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --constraint constraints.txt torch numpy pytest pytest-xdist
	@touch $@

define on_base
	$(PYTHON) -m venv --clear --without-pip $(@D)
	$(COMPAT)/base/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
endef

$(COMPAT)/%/installed: tests/compat/environments/%.txt $(COMPAT)/base/installed
	$(on_base)
	$(@D)/bin/python -m pip install --quiet --requirement $<
	@touch $@

$(COMPAT)/lowest/installed: tests/compat/lowest.py .venv/installed $(COMPAT)/base/installed
	$(on_base)
	$(BIN)/python $< > $(@D)/constraints.txt
	$(@D)/bin/python -m pip install --quiet --constraint $(@D)/constraints.txt --editable .
	$(@D)/bin/python -m pip install --quiet --no-deps d2l==1.0.3
	$(@D)/bin/python -m pip install --quiet --constraint constraints.txt hypothesis
	@touch $@

test-compat: .venv/installed $(OTHERS:%=$(COMPAT)/%/installed) $(COMPAT)/lowest/installed  ## test with other versions
	rm -rf build/compat
	OMP_NUM_THREADS=1 $(BIN)/python tests/compat/write_folders.py build/compat/here
	OMP_NUM_THREADS=1 $(COMPAT)/lowest/bin/python tests/compat/write_folders.py build/compat/lowest
	for folders in here lowest; do for name in $(OTHERS); do \
		COMPAT_FOLDERS=build/compat/$$folders COMPAT_PINS=tests/compat/environments/$$name.txt OMP_NUM_THREADS=1 \
			$(COMPAT)/$$name/bin/python -I -m pytest tests/compat || exit; \
	done; done
	OMP_NUM_THREADS=1 $(COMPAT)/lowest/bin/hf-nli quickstart --output_dir build/compat/quickstart
	OMP_NUM_THREADS=1 $(COMPAT)/lowest/bin/python -m pytest -n auto --dist worksteal $(ON_LOWEST)

style: .venv/installed-tests  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

quality: .venv/installed-tests  ## check style and types without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove what make made
	rm -rf .venv $(COMPAT) build

PYTHON ?= python3
BIN := .venv/bin
OUTPUT ?= build/quickstart

.PHONY: help quickstart test style quality clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

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
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

style: .venv/installed-tests  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

quality: .venv/installed-tests  ## check style and types without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove what make made
	rm -rf .venv build

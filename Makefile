# make demo: train, evaluate and draw a small model; make test: the tests. Both call setup first.
PYTHON ?= python3
VENV ?= .venv
FRAMEWORK ?= retinanet
SEED ?= 0
VENV_OPENMMLAB ?= .venv-openmmlab
BIN = $(VENV)/bin

.PHONY: setup demo test test-quick lint test-openmmlab

setup:
	@$(PYTHON) tools/setup_env.py --venv $(VENV)

demo: setup
	@$(BIN)/python tools/demo.py --framework $(FRAMEWORK) --seed $(SEED)

test: setup
	@$(BIN)/python -m pytest

test-quick: setup
	@$(BIN)/python -m pytest -m 'not slow'

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

test-openmmlab:
	@$(PYTHON) tools/setup_env.py --venv $(VENV_OPENMMLAB) --lock requirements/openmmlab.lock
	@$(VENV_OPENMMLAB)/bin/python -m pytest

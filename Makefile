# make demo: train, evaluate and draw a small model; make test, make test-all: the quick tests, all tests.
# make docs: the documentation as a site in site/. All of them call setup first.
PYTHON ?= python3
VENV ?= .venv
FRAMEWORK ?= retinanet
SEED ?= 0
VENV_OPENMMLAB ?= .venv-openmmlab
BIN = $(VENV)/bin
# As many processes as tests/conftest.py says; loadgroup hands out tests one by one and keeps xdist_group together.
PARALLEL = -n auto --maxprocesses 8 --dist loadgroup
# The tests that compare numbers; the memory layouts of test_layout.py are those of oneDNN
NUMERICS = tests/models tests/baselines tests/heads tests/converters tests/export tests/inference \
	--ignore tests/models/test_layout.py

.PHONY: setup demo test test-all test-kernels test-triton test-gpu lint docs test-openmmlab

setup:
	@$(PYTHON) tools/setup_env.py --venv $(VENV)

demo: setup
	@$(BIN)/python tools/demo.py --framework $(FRAMEWORK) --seed $(SEED)

test: setup
	@$(BIN)/python -m pytest $(PARALLEL) -m 'not slow'

test-all: setup
	@$(BIN)/python -m pytest $(PARALLEL) --durations 30

# The comparisons of numbers, by other kernels than those of this processor.
test-kernels: setup
	@$(BIN)/python -m pytest $(PARALLEL) $(NUMERICS) --no-mkldnn
	@ATEN_CPU_CAPABILITY=default $(BIN)/python -m pytest $(PARALLEL) $(NUMERICS)

# All tests of the operators in Triton, in its interpreter, at each width of CEDNet-T, S and B once; slow.
test-triton: export TRITON_INTERPRET = 1
test-triton: export MMCEDNET_TRITON = 1
test-triton: setup
	@$(BIN)/python -m pytest $(PARALLEL) tests/models/kernels/interpreted.py \
		tests/models/kernels/interpreted_networks.py tests/models/kernels/interpreted_training.py

# On a GPU; elsewhere they are skipped, and the last lines say how many.
test-gpu: export MMCEDNET_TRITON = 1
test-gpu: setup
	@$(BIN)/python -m pytest -m gpu tests/gpu --durations 20

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m mypy

docs: setup
	@$(BIN)/python -m mkdocs build --strict

test-openmmlab:
	@$(PYTHON) tools/setup_env.py --venv $(VENV_OPENMMLAB) --lock requirements/openmmlab.lock
	@$(VENV_OPENMMLAB)/bin/python -m pytest $(PARALLEL) --durations 30

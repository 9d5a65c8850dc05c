# make demo   install into .venv, evaluate the bundled checkpoints on the bundled suite, show the table
# make test   the whole test suite      make fast   the tests that take seconds      make check   lint, types, structure
# make bench  the engine beside lm-evaluation-harness's: needs EVALHARNESS_TEST_DATA and EVALHARNESS_PEER_PYTHON
# make install, make wheel, make clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
RESULTS ?= results

export TOKENIZERS_PARALLELISM := false

.PHONY: demo test fast check bench format install wheel clean
.DEFAULT_GOAL := demo

# One thread: the matrices of these models are too small to share, and a second thread would only wait.
demo: export OMP_NUM_THREADS := 1
demo: $(STAMP)
	@$(BIN)/evalharness run -m zoo-bert -t demo-choose --output $(RESULTS)
	@$(BIN)/evalharness run -m zoo-llama-tiny -m zoo-llama-small -m zoo-llama-base -m zoo-t5 -t demo --output $(RESULTS)
	@echo
	@echo "Every run is stored in $(RESULTS)/. Next:"
	@echo "  $(BIN)/evalharness runs list                              what was stored"
	@echo "  $(BIN)/evalharness tasks preview demo_arithmetic          what the models were asked"
	@echo "  $(BIN)/evalharness run -m zoo-llama-base -t demo --shots 0   change something"
	@echo "  $(BIN)/evalharness board --results $(RESULTS)                  the leaderboard, in a browser"

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal

fast: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: export OMP_NUM_THREADS := 1
bench: $(STAMP)
	$(BIN)/python benchmarks/engine/bench.py

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(STAMP)

# torch first: its CPU wheel, where one is on offer, keeps the registry's CUDA build and its gigabytes away.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("evalharness needs Python 3.11 or later: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (some minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

wheel: $(STAMP)
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

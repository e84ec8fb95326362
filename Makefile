# Two commands on a fresh machine: `make demo`, `make test`. Both install first if needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MARK := $(VENV)/.installed
# torch comes first and alone: from the package index, plain "torch" drags in gigabytes of CUDA on Linux
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: install demo test check docs bench format clean

install: $(MARK)

$(MARK): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "unfog needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install -q '$(TORCH)'
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $(MARK)

demo: install
	$(BIN)/unfog demo -o demo

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: install
	$(BIN)/ruff format --check src tests examples benchmarks docs
	$(BIN)/ruff check src tests examples benchmarks docs
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not gpu'

docs: install
	$(BIN)/python -m sphinx -q -W -b html docs docs/_build/html

# peers are installed on first use, each in its own environment. Alone: every suite once, at its smallest, into .bench/short;
# SUITE=tables runs one suite as the bars are about, for hours; ARGS are its options
bench: install
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks $(or $(SUITE),--short) $(ARGS)

format: install
	$(BIN)/ruff format src tests examples benchmarks docs
	$(BIN)/ruff check --fix src tests examples benchmarks docs

clean:
	rm -rf $(VENV) demo docs/_build .pytest_cache .ruff_cache .mypy_cache

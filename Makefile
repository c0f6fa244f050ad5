# Every target sets up what it needs. PYTHON chooses the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: demo test lint parity clean

demo: $(VENV)/.ready
	$(BIN)/cvgl-bench demo --workers $(WORKERS)

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cvgl-bench publish --check

# The released imagecorruptions runs on old versions only, so it has an environment of its own.
parity: .venv-parity/.ready $(VENV)/.ready
	.venv-parity/bin/python benchmarks/parity/make_golden.py --out tests/golden
	$(BIN)/python -m pytest -n $(WORKERS) tests/test_corruptions_parity.py

$(VENV)/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[pretrained,dev]"
	touch $@

.venv-parity/.ready: benchmarks/parity/requirements.txt
	$(PYTHON) -m venv .venv-parity
	.venv-parity/bin/python -m pip install --quiet --requirement benchmarks/parity/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) .venv-parity build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

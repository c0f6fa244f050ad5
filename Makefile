# Every target sets up what it needs. PYTHON chooses the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: demo test browser faults lint parity golden bench clean clean-compiled

demo: $(VENV)/.ready
	$(BIN)/cvgl-bench demo --workers $(WORKERS)

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(WORKERS)

# A line a fault: its name says what happens to the run, and what becomes of it.
# Skipped, with the reason, where chromium and its driver are not installed.
browser: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(WORKERS) -m browser tests/browser

faults: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable ".[ray]"
	$(BIN)/python -m pytest tests/test_faults.py tests/test_executors.py \
		tests/test_ray_embedding.py tests/test_evaluation_resume.py -m "" --verbose --no-header --timeout 600

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cvgl-bench publish --check

# The released imagecorruptions runs on old versions only, so it has an environment of its own.
parity: .venv-parity/.ready $(VENV)/.ready
	$(BIN)/python -m benchmarks.parity.report

golden: .venv-parity/.ready
	.venv-parity/bin/python -m benchmarks.parity.make_golden --out tests/golden

bench: .venv-parity/.ready .venv-imaug/.ready $(VENV)/.ready
	$(BIN)/python benchmarks/corruptions.py

$(VENV)/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[pretrained,published,dev]"
	touch $@

.venv-parity/.ready: benchmarks/parity/requirements.txt
	$(PYTHON) -m venv .venv-parity
	.venv-parity/bin/python -m pip install --quiet --requirement benchmarks/parity/requirements.txt
	touch $@

.venv-imaug/.ready: benchmarks/speed/requirements-imaug.txt
	$(PYTHON) -m venv .venv-imaug
	.venv-imaug/bin/python -m pip install --quiet --requirement benchmarks/speed/requirements-imaug.txt
	touch $@

clean-compiled:
	find corruptions cvgl_bench \( -name '*.nbi' -o -name '*.nbc' \) -delete

clean: clean-compiled
	rm -rf $(VENV) .venv-parity .venv-imaug build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Every target sets up what it needs. PYTHON chooses the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
LOWEST_PYTHON ?= python3.10

.PHONY: demo test slow test-lowest browser faults lint parity golden bench docs docs-test dist audit clean clean-compiled

demo: $(VENV)/.ready
	$(BIN)/cvgl-bench demo --workers $(WORKERS)

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(WORKERS)

# What takes ten seconds and more a test.
slow: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(WORKERS) -m slow

# With the oldest versions that setup.cfg allows, and the newest tools. What old versions call of
# their own dependencies is deprecated by now, and not for us to mend.
test-lowest: .venv-lowest/.ready
	.venv-lowest/bin/python -m pytest -n $(WORKERS) -W ignore::DeprecationWarning \
		-m "not faults and not browser and not docs"

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

# The pages go to build/site and open from there, without a server or a network.
docs: $(VENV)/.ready-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Every command of the quickstart and the tutorials, with the built wheel; and the site itself.
docs-test: $(VENV)/.ready-docs
	$(BIN)/python -m pytest -n $(WORKERS) -m docs tests/test_docs_tutorials.py tests/test_docs_site.py

# Wheel and source distribution of the last commit in dist/. From an export, since setuptools also
# packs what earlier builds and installations list.
dist: .venv-release/.ready
	rm -rf build/export dist
	mkdir -p build/export
	git archive HEAD | tar -x -C build/export
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		.venv-release/bin/python -m build --outdir dist build/export
	.venv-release/bin/twine check --strict dist/*

# Known vulnerabilities of what is installed, then everybody's licence. Strict, since a package that
# could not be looked up would count as clean.
audit: .venv-release/.ready $(VENV)/.ready
	mkdir -p build
	$(BIN)/python -m pip list --format freeze --exclude-editable > build/installed.txt
	.venv-release/bin/pip-audit --strict --disable-pip --no-deps --requirement build/installed.txt
	.venv-release/bin/pip-licenses --python $(BIN)/python --order license
	.venv-release/bin/cffconvert --validate

$(VENV)/.ready-docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

$(VENV)/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV): some minutes, and about 3 GB to download."
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

# uv is what resolves to the lowest; pip has no such option.
.venv-lowest/.ready: setup.cfg pyproject.toml
	$(LOWEST_PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct \
		--editable ".[pretrained,published]"
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --editable ".[dev]"
	touch $@

.venv-release/.ready:
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet build cffconvert pip-audit pip-licenses twine
	touch $@

clean-compiled:
	find corruptions cvgl_bench \( -name '*.nbi' -o -name '*.nbc' \) -delete

clean: clean-compiled
	rm -rf $(VENV) .venv-parity .venv-imaug .venv-lowest .venv-release build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

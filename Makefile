# Weir: make help says what there is
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROVIDER ?=
SPEED ?=
COMPILE = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" pyproject.toml

.PHONY: help install run test check bench bench-peers docs lock clean

help:
	@echo "make install      the virtual environment with everything ($(BIN)/weir)"
	@echo "make run          start Weir on 127.0.0.1:8080, admin on 127.0.0.1:8081"
	@echo "                  (PROVIDER=sim or PROVIDER=llama starts a local provider beside it)"
	@echo "make test         all tests"
	@echo "make check        style, types, structure, what a call costs by count"
	@echo "make bench        what a call costs, beside a bare relay (SPEED=--quick: within 90 s; SPEED=--help: more);"
	@echo "                  then what the guards find, and whether limits hold while the store is away"
	@echo "make bench-peers  the same beside other gateways, which are installed into .venvs/"
	@echo "make docs         write generated files anew: configuration, schema, parts of README and ARCHITECTURE"
	@echo "make lock         lock the dependencies anew (needs the package index)"
	@echo "make clean        remove what was built and installed"

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Weir needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

install: $(STAMP)

run: $(STAMP)
	@$(BIN)/python -m benchmarks.run $(PROVIDER)

test: $(STAMP)
	$(BIN)/python -m pytest -q

check: $(STAMP)
	$(BIN)/ruff format --check proxy plugins tests benchmarks
	$(BIN)/ruff check proxy plugins tests benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_imports.py tests/benchmarks/test_hot.py

bench: $(STAMP)
	@$(BIN)/python -m benchmarks.speed $(SPEED)
	@$(BIN)/python -m benchmarks.quality
	@$(BIN)/python -m benchmarks.limits

bench-peers: $(STAMP)
	@$(BIN)/python -m benchmarks.speed --peers $(SPEED)

docs: $(STAMP)
	$(BIN)/python -m benchmarks.docs

# Two locks, for every platform: all of it for development and tests (but the embedder of `semantic`, whose tests are
# skipped where it is not installed), and what the container installs.
lock:
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) --extra valkey --extra names --extra onnx --extra build --extra dev --output-file requirements.lock
	$(COMPILE) --extra valkey --extra build --constraint requirements.lock --output-file runtime.lock

clean:
	rm -rf $(VENV) .venvs .mypy_cache .ruff_cache build dist *.egg-info

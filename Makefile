# Weir: make run | test | check | bench | docs
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROVIDER ?=

.PHONY: help install run test check bench bench-peers docs schema lock clean

help:
	@echo "make install      the virtual environment with everything ($(BIN)/weir)"
	@echo "make run          start Weir on 127.0.0.1:8080, admin on 127.0.0.1:8081"
	@echo "                  (PROVIDER=sim or PROVIDER=llama starts a local provider beside it)"
	@echo "make test         all tests"
	@echo "make check        style, types, structure"
	@echo "make bench        measurements, beside a bare relay"
	@echo "make docs         write generated files anew: configuration, schema, ARCHITECTURE's tree"

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

bench: $(STAMP)
	$(BIN)/python -m benchmarks.overhead

docs: $(STAMP)
	$(BIN)/python -m benchmarks.docs

lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .venvs .mypy_cache .ruff_cache build dist *.egg-info

# `make demo` shows everything running; `make test` runs everything that can be tested here.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
SANDBOX_PORT ?= 8600
BIN = $(VENV)/bin

.PHONY: demo web-sdk test soak bench lint format docs clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[demo]"
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[demo,liquid,postgres,redis]" --group dev
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	@touch $@

demo: $(VENV)/.demo
	@PUSHWOOSH_API_ROOT=http://127.0.0.1:$(SANDBOX_PORT) exec $(BIN)/python manage.py demo --port $(PORT)

# Pushwoosh's own, from the npm registry: the demo's shop speaks by it, and so do the tests in a browser.
web-sdk: | $(BIN)/python
	@$(BIN)/python -m example_project.web_sdk

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(ARGS)

# In real minutes: not part of `make test`.
soak: $(VENV)/.dev
	$(BIN)/python -m pytest tests/soak $(ARGS)

bench: $(VENV)/.bench
	$(BIN)/python -m tests.benchmarks

docs: $(VENV)/.dev
	$(BIN)/python -m docs.generate

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .demo .web-sdk build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

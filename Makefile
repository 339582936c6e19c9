# Everything a person or a machine runs here. Each target makes the environment it needs, once.
VENV ?= .venv
PYTHON ?= python3
PORT ?= 5000
TESTS ?= tests
bin := $(VENV)/bin
export PYTHON PORT

.PHONY: help demo test lint format bench

help:
	@echo "make demo    serve the demo on http://127.0.0.1:$(PORT)  (PORT=8000 for another port)"
	@echo "make test    all tests  (TESTS=tests/unit for some)"
	@echo "make lint    ruff, mypy --strict"
	@echo "make format  let ruff format and fix what it can"
	@echo "make bench   benchmarks, side by side with peers"

demo: $(VENV)/.installed
	@$(bin)/python demo_app.py

test: $(VENV)/.installed-dev
	@tools/browser
	@$(bin)/python tools/services.py
	$(bin)/python -m pytest $(TESTS)

lint: $(VENV)/.installed-dev
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy forktask tests tools $(wildcard demo_app.py benchmarks/*.py)

format: $(VENV)/.installed-dev
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

bench: $(VENV)/.installed-dev
	@set -e; for question in $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)); do \
		echo "== $$question"; $(bin)/python "$$question"; done

$(VENV)/.installed: pyproject.toml
	@tools/environment $@

$(VENV)/.installed-dev: pyproject.toml
	@tools/environment $@ dev

# Everything a person or a machine runs here. Each target makes the environment it needs, once.
VENV ?= .venv
PYTHON ?= python3
PORT ?= 5000
TESTS ?= tests
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
MINUTES ?= 30
SEED ?= 0
bin := $(VENV)/bin
export PYTHON PORT

.PHONY: help demo test soak lint format translations docs screenshots bench

help:
	@echo "make demo    serve the demo on http://127.0.0.1:$(PORT)  (PORT=8000 for another port)"
	@echo "make test    all tests  (TESTS=tests/unit for some, WORKERS=0 for one after the other)"
	@echo "make soak    random faults against an invariant checker  (MINUTES=2 for less, SEED=7 to repeat one)"
	@echo "make lint    ruff, mypy --strict"
	@echo "make format  let ruff format and fix what it can"
	@echo "make translations  find new texts, compile the catalogues"
	@echo "make docs    write docs/cli.md from the commands"
	@echo "make screenshots  a picture of every widget in every state, in build/screenshots"
	@echo "make bench   benchmarks, side by side with peers  (ONLY=start for one)"

demo: $(VENV)/.installed
	@$(bin)/python demo_app.py

# Compiled first: tests start a thousand interpreters, which do it each anew where PYTHONDONTWRITEBYTECODE is set.
test: $(VENV)/.installed-dev
	@tools/browser
	@tools/uwsgi $(VENV)
	@$(bin)/python tools/services.py
	@$(bin)/python tools/htmx4.py
	@$(bin)/python -m compileall -q forktask tests
	$(bin)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(TESTS)

soak: $(VENV)/.installed-dev
	@$(bin)/python tools/services.py
	$(bin)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED)

lint: $(VENV)/.installed-dev
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy forktask tests tools $(wildcard demo_app.py benchmarks/*.py)

format: $(VENV)/.installed-dev
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

translations: $(VENV)/.installed-dev
	$(bin)/python tools/translations.py

docs: $(VENV)/.installed-dev
	PYTHONPATH=. $(bin)/python tools/cli_docs.py

screenshots: $(VENV)/.installed-dev
	@tools/browser
	PYTHONPATH=. $(bin)/python tools/screenshots.py

bench: $(VENV)/.installed-bench
	@$(bin)/python benchmarks/_all.py $(ONLY)

$(VENV)/.installed: pyproject.toml
	@tools/environment $@

$(VENV)/.installed-dev: pyproject.toml
	@tools/environment $@ dev

$(VENV)/.installed-bench: pyproject.toml
	@tools/environment $@ dev,bench

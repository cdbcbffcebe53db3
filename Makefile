# make launch, make test: each sets up everything it needs on a machine with Python 3.11+, git and a package index.
# What is set up: .venv (the tool, not editable: switching branches must not change what runs), and the data.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= python3
# An index with CPU builds of torch, for Linux machines without a GPU whose default index has CUDA builds only.
TORCH_INDEX ?=
EXPERIMENTS ?= 12
WORKERS ?= 3

VENV := .venv
PY := $(VENV)/bin/python
DONE := .make
BENCHMARKS := verdicts loader canvas_speed handover first_frame candidates thinking

# With an NVIDIA GPU the newest torch is right; without one it would bring gigabytes of CUDA.
GPU := $(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU')
CONSTRAINTS := $(if $(filter 0,$(GPU)),--constraint constraints-cpu.txt)
PIP := $(PY) -m pip --quiet --quiet --disable-pip-version-check --log $(DONE)/pip.log
INSTALL := $(PIP) install --progress-bar off $(CONSTRAINTS) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
FAILED := { echo "  failed; the whole story is in $(DONE)/pip.log" >&2; exit 1; }

PACKAGES := tui roles supervisor sessions
TEMPLATE := program.md prepare.py training/corpus.py training/train.py
# Folders too: their time changes when a file is added or taken away.
SOURCES := $(TEMPLATE) pyproject.toml $(shell find $(PACKAGES) -name __pycache__ -prune -o \
	\( -type d -o -name '*.py' -o -name '*.md' -o -name '*.tcss' -o -name '*.toml' -o -name '*.sql' \) -print)

.PHONY: help launch test check tests test-clients bench clean tmux data tool dev

help:
	@echo "make launch   set everything up and open the lab (chief + 2 juniors, offline backend);"
	@echo "              with no terminal: $(EXPERIMENTS) experiments with a progress bar, then the leaderboard"
	@echo "make test     everything that 'make check' checks, and the tests"
	@echo "make check    ruff, strict types, import contracts, dead code"
	@echo "make test-clients   the real Claude Code, Codex, pi, aider, … against a model on loopback (installs them)"
	@echo "make bench    the benchmarks, in order"
	@echo "make clean    remove what make made (.venv, .make, caches; never .autoresearch)"

launch: tool data tmux
	@if [ -t 0 ] && [ -t 1 ]; then exec $(VENV)/bin/autoresearch-tui launch; \
	else exec $(VENV)/bin/autoresearch-tui launch --headless --experiments $(EXPERIMENTS); fi

test: check tests

tests: tool dev tmux
	@$(PY) -P -m pytest -n $(WORKERS) --durations=10

# The real clients, from npm and PyPI, in a folder of their own; not part of `make test`.
test-clients: tool dev
	@$(PY) -m tests.clients.prove

check: tool dev
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check . || { echo "ruff format would change files: .venv/bin/ruff format ." >&2; exit 1; }
	@$(PY) -P -m mypy --no-error-summary
	@$(VENV)/bin/lint-imports --no-cache > $(DONE)/imports.log || { cat $(DONE)/imports.log >&2; exit 1; }
	@$(PY) -m vulture
	@echo "check: ruff, types and import contracts hold, and nothing is dead"

bench: tool dev tmux data
	@for name in $(BENCHMARKS); do echo "== benchmarks/$$name.py"; $(PY) benchmarks/$$name.py; done

tool: $(DONE)/tool
dev: $(DONE)/dev
data: $(DONE)/data

$(DONE)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "autoresearch-tui needs Python 3.11 or newer ($(PYTHON): $$($(PYTHON) --version 2>&1 || true));" \
	       "install one and say 'make PYTHON=python3.12 …'" >&2; exit 1; }
	@mkdir -p $(DONE)
	@echo "· .venv ($$($(PYTHON) --version))"
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@# Dependency groups came with pip 25.1; hatchling builds the tool in place, again and again.
	@$(INSTALL) --upgrade 'pip>=25.1' 'hatchling>=1.26' || $(FAILED)
	@touch $@

$(DONE)/dependencies: pyproject.toml constraints-cpu.txt $(DONE)/venv
	@echo "· dependencies, torch among them$(if $(CONSTRAINTS), (CPU build)): a minute or two, once"
	@$(INSTALL) '.[training]' || $(FAILED)
	@touch $@

$(DONE)/tool: $(SOURCES) $(DONE)/dependencies
	@echo "· the tool"
	@$(INSTALL) --force-reinstall --no-deps --no-build-isolation . || $(FAILED)
	@touch $@

$(DONE)/dev: pyproject.toml $(DONE)/dependencies
	@echo "· test tools"
	@$(INSTALL) --group dev || $(FAILED)
	@touch $@

$(DONE)/data: prepare.py training/corpus.py $(DONE)/tool
	@echo "· data"
	@$(PY) prepare.py
	@touch $@

# Installed where the user may without a password, otherwise named with the line that installs it.
tmux:
	@if command -v tmux >/dev/null; then exit 0; fi; \
	root="sudo "; [ "$$(id -u)" != 0 ] || root=; \
	if command -v brew >/dev/null; then root= line="brew install tmux"; \
	elif command -v apt-get >/dev/null; then line="$${root}apt-get install -y tmux"; \
	elif command -v dnf >/dev/null; then line="$${root}dnf install -y tmux"; \
	elif command -v pacman >/dev/null; then line="$${root}pacman -S --noconfirm tmux"; \
	elif command -v apk >/dev/null; then line="$${root}apk add tmux"; \
	else echo "tmux is missing: install it with your system's package manager" >&2; exit 1; fi; \
	if [ -n "$$root" ] && ! sudo -n true 2>/dev/null; then echo "tmux is missing: $$line" >&2; exit 1; fi; \
	echo "· tmux ($$line)"; mkdir -p $(DONE); \
	if $$line >$(DONE)/tmux.log 2>&1; then exit 0; fi; \
	if command -v apt-get >/dev/null && $${root}apt-get update >>$(DONE)/tmux.log 2>&1 \
	   && $$line >>$(DONE)/tmux.log 2>&1; then exit 0; fi; \
	tail -n 3 $(DONE)/tmux.log >&2; echo "tmux could not be installed: $$line" >&2; exit 1

clean:
	@rm -rf $(VENV) $(DONE) build dist .pytest_cache .mypy_cache .ruff_cache

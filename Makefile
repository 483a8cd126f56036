# Two commands: `make demo` and `make test`. Each does all the set-up it needs, in .venv.
# Another Python: make demo PYTHON=python3.11

CHECK = import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.10 python3.9; do \
	command -v $$p >/dev/null 2>&1 && $$p -c '$(CHECK)' 2>/dev/null && echo $$p && break; done)
BIN = .venv/bin

.PHONY: demo test lint setup bench clean

demo: .venv/ready
	@$(BIN)/python -m gan_kd_ssd.demo

test: .venv/ready-for-tests
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/python -m pytest

lint: .venv/ready-for-tests
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: .venv/ready
	@$(BIN)/python benchmarks/step.py
	@$(BIN)/python benchmarks/faster_rcnn_step.py
	@$(BIN)/python benchmarks/pipeline.py

setup: .venv/ready

.venv/ready: requirements.txt
	@$(if $(PYTHON),,echo "make: Python 3.9 to 3.12 with venv is needed, found: `python3 -V 2>/dev/null || echo none`; install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2)
	@$(PYTHON) -c '$(CHECK)' 2>/dev/null || { echo "make: $(PYTHON) is `$(PYTHON) -V 2>/dev/null || echo not there`; Python 3.9 to 3.12 with venv is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "installing requirements.txt into .venv (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/ready-for-tests: .venv/ready requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv demo

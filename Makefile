# Two commands: `make demo` and `make test`. Each does all the set-up it needs, in .venv.
# Another Python: make demo PYTHON=python3.11
# On NVIDIA GPUs: `make setup-gpu` first; the rest then uses what it put into .venv.

CHECK = import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.10 python3.9; do \
	command -v $$p >/dev/null 2>&1 && $$p -c '$(CHECK)' 2>/dev/null && echo $$p && break; done)
BIN = .venv/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
# Which MXNet .venv holds: that of requirements.txt, or of requirements-gpu.txt.
READY = $(if $(wildcard .venv/ready-gpu),.venv/ready-gpu,.venv/ready)
has = ls -d .venv/lib/python3*/site-packages/$(1)-[0-9]*.dist-info >/dev/null 2>&1

.PHONY: demo test lint setup setup-gpu one-mxnet bench clean

demo: $(READY)
	@$(BIN)/python -m gan_kd_ssd demo

test: .venv/ready-for-tests
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/python -m pytest

lint: .venv/ready-for-tests
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: $(READY)
	@$(BIN)/python benchmarks/step.py
	@$(BIN)/python benchmarks/faster_rcnn_step.py
	@$(BIN)/python benchmarks/pipeline.py

setup: $(READY)

setup-gpu: .venv/ready-gpu
	@$(BIN)/python -m gan_kd_ssd doctor || true

# Before anything else, also where all is set up: two builds overwrite each other's files.
one-mxnet:
	@if $(call has,mxnet) && $(call has,mxnet_cu112); then \
		echo "make: .venv has both mxnet and mxnet-cu112, which overwrite each other: rm -r .venv, then make $(MAKECMDGOALS)" >&2; exit 2; fi

# The recipe's start: .venv with a Python that fits, and pip.
define venv
	@$(if $(PYTHON),,echo "make: Python 3.9 to 3.12 with venv is needed, found: `python3 -V 2>/dev/null || echo none`; install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2)
	@$(PYTHON) -c '$(CHECK)' 2>/dev/null || { echo "make: $(PYTHON) is `$(PYTHON) -V 2>/dev/null || echo not there`; Python 3.9 to 3.12 with venv is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
endef

.venv/ready: requirements.txt requirements-common.txt | one-mxnet
	$(venv)
	@if $(call has,mxnet_cu112); then echo "make: .venv has mxnet-cu112: make setup-gpu completes it; for the CPU, rm -r .venv and make $(MAKECMDGOALS)" >&2; exit 2; fi
	@echo "installing requirements.txt into .venv (about a minute)"
	@$(PIP) install -r requirements.txt
	@touch $@

.venv/ready-gpu: requirements-gpu.txt requirements-common.txt | one-mxnet
	$(venv)
	@rm -f .venv/ready
	@if $(call has,mxnet); then $(PIP) uninstall --yes mxnet; fi
	@echo "installing requirements-gpu.txt into .venv (2 GB to download)"
	@$(PIP) install -r requirements-gpu.txt
	@touch $@

.venv/ready-for-tests: $(READY) requirements-dev.txt requirements-onnx.txt
	@$(PIP) install -r requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv demo

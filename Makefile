# Two commands: `make demo` and `make test`. Each prepares the environment that it needs, in .venv.
# Another Python: make demo PYTHON=python3.11
# On NVIDIA GPUs, run `make setup-gpu` first; the other targets then use that environment.

CHECK = import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.10 python3.9; do \
	command -v $$p >/dev/null 2>&1 && $$p -c '$(CHECK)' 2>/dev/null && echo $$p && break; done)
# Python versions of `make test-all`, each in its own environment, and the folder to search for them.
VERSIONS ?= 3.9 3.11 3.12 3.13
PYENV ?= $(HOME)/.pyenv
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
# The environment holds either the MXNet of requirements.txt or that of requirements-gpu.txt.
READY = $(if $(wildcard $(VENV)/ready-gpu),$(VENV)/ready-gpu,$(VENV)/ready)
has = ls -d $(VENV)/lib/python3*/site-packages/$(1)-[0-9]*.dist-info >/dev/null 2>&1

.PHONY: demo test test-all lint docs wheel bench setup setup-gpu one-mxnet clean

demo: $(READY)
	@$(BIN)/python -m gan_kd_ssd demo

test: $(VENV)/ready-for-tests
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/python -m mkdocs build --strict --quiet
	@$(BIN)/python -m pytest

# Test each Python, found on PATH or in pyenv, in its own environment .venv-VERSION.
test-all:
	@for v in $(VERSIONS); do \
		python=`command -v python$$v || ls $(PYENV)/versions/$$v.*/bin/python3 2>/dev/null | head -n 1`; \
		[ -n "$$python" ] || { echo "make: python$$v was not found on PATH or in $(PYENV): install it, or give VERSIONS" >&2; exit 2; }; \
		echo "=== Python $$v"; \
		$(MAKE) --no-print-directory test VENV=.venv-$$v PYTHON=$$python || exit $$?; \
	done

lint: $(VENV)/ready-for-tests
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: $(VENV)/ready-for-tests
	@$(BIN)/python -m mkdocs build --strict
	@echo "site/index.html"

wheel: $(VENV)/ready-for-tests
	@$(BIN)/python -m build --wheel

bench: $(READY)
	@$(BIN)/python benchmarks/step.py
	@$(BIN)/python benchmarks/faster_rcnn_step.py
	@$(BIN)/python benchmarks/pipeline.py

setup: $(READY)

setup-gpu: $(VENV)/ready-gpu
	@$(BIN)/python -m gan_kd_ssd doctor || true

# Checked before every target, because two builds of MXNet overwrite each other's files.
one-mxnet:
	@if $(call has,mxnet) && $(call has,mxnet_cu112); then \
		echo "make: $(VENV) has both mxnet and mxnet-cu112, which overwrite each other: rm -r $(VENV), then make $(MAKECMDGOALS)" >&2; exit 2; fi

# The first step of every set-up: an environment with a suitable Python and with pip.
define venv
	@$(if $(PYTHON),,echo "make: Python 3.9 to 3.13 with venv is needed, found: `python3 -V 2>/dev/null || echo none`; install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2)
	@$(PYTHON) -c '$(CHECK)' 2>/dev/null || { echo "make: $(PYTHON) is `$(PYTHON) -V 2>/dev/null || echo not there`; Python 3.9 to 3.13 with venv is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
endef

# pip rejects MXNet 1.9.1 with numpy 2 because of its metadata, although it works (gan_kd_ssd/util/mxnet.py).
define install_mxnet
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then $(PIP) install --no-deps $(1)==1.9.1; fi
endef

# The package itself is installed as a link to this checkout, so that $(BIN)/gan-kd exists.
define install_package
	@$(PIP) install --no-deps --no-build-isolation --editable .
endef

$(VENV)/ready: requirements.txt requirements-common.txt pyproject.toml | one-mxnet
	$(venv)
	@if $(call has,mxnet_cu112); then echo "make: $(VENV) has mxnet-cu112: make setup-gpu completes it; for the CPU, rm -r $(VENV) and make $(MAKECMDGOALS)" >&2; exit 2; fi
	@echo "installing requirements.txt into $(VENV) (about a minute)"
	@$(PIP) install -r requirements.txt
	$(call install_mxnet,mxnet)
	$(install_package)
	@touch $@

$(VENV)/ready-gpu: requirements-gpu.txt requirements-common.txt pyproject.toml | one-mxnet
	$(venv)
	@rm -f $(VENV)/ready
	@if $(call has,mxnet); then $(PIP) uninstall --yes mxnet; fi
	@echo "installing requirements-gpu.txt into $(VENV) (2 GB to download)"
	@$(PIP) install -r requirements-gpu.txt
	$(call install_mxnet,mxnet-cu112)
	$(install_package)
	@touch $@

$(VENV)/ready-for-tests: $(READY) requirements-dev.txt requirements-onnx.txt
	@$(PIP) install -r requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv .venv-3.* demo site build dist *.egg-info

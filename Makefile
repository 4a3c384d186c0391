# Two commands: `make run` and `make test`. Everything happens in .venv; nothing is installed into the system's Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: run test test-slow check images test-images clean

run: $(VENV)/.base
	@$(BIN)/edge-run --model mnist --split auto

test: $(VENV)/.test
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder --cov=partway --cov-branch --cov-report=term --cov-fail-under=90 $(ARGS)

test-slow: $(VENV)/.test
	@$(BIN)/python -m pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.test
	@scripts/check

images:
	@scripts/images

test-images: $(VENV)/.test images
	@PARTWAY_IMAGES=1 $(BIN)/python -m pytest tests/containers $(ARGS)

$(BIN)/python:
	@scripts/need-python $(PYTHON)
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing the base package into $(VENV) (once) …"
	@$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing the package with its tests into $(VENV) (once) …"
	@scripts/install-tests $(BIN)/python
	@touch $@ $(VENV)/.base

clean:
	rm -rf $(VENV)

# `make` alone prints the targets. Every target sets up .venv itself.
PYTHON ?= python3
VENV := .venv
GATEWAY := .venv-gateway
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test gateway check format docs bench torture clean

help:
	@echo "make install   create .venv with everything a developer needs"
	@echo "make demo      simulate a bearing rig and a gearbox, train, diagnose unseen machines (a few minutes)"
	@echo "make test      run the tests (no network; real recordings are used where they are there)"
	@echo "make gateway   the tests of diagnose in an environment that has what diagnose needs and no more (no torch)"
	@echo "make check     lint, format check, types, and whether the generated docs are up to date"
	@echo "make format    format and fix the code"
	@echo "make docs      generate docs/cli.md from the command line"
	@echo "make bench     measure what docs/benchmarks.md states (needs the real recordings; half an hour)"
	@echo "make torture   fail every call to the disk, kill at 500 moments, lie in 20 000 files (docs/reliability.md; hours)"
	@echo "make clean     remove .venv, caches and the demo's output"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(STAMP)

demo: install
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/demo.sh

test: install
	$(BIN)/python -m pytest -q

# Built as a wheel, as a user gets it; the tests drive its command from the other environment.
gateway: install
	rm -rf $(GATEWAY)
	$(PYTHON) -m venv $(GATEWAY)
	$(GATEWAY)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt .
	@du -sh $(GATEWAY)/lib/python*/site-packages
	FAULTDX_COMMAND="$(CURDIR)/$(GATEWAY)/bin/faultdx" $(BIN)/python -m pytest -q \
		tests/test_gateway.py tests/test_cli_streams.py tests/test_outputs.py

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install
	$(BIN)/python docs/generate.py

bench: install
	$(BIN)/python benchmarks/cwru_time.py
	$(BIN)/python benchmarks/start_up.py

# What `make test` takes a sample of. Each prints a table and ends with 1 where it finds something.
torture: install
	$(BIN)/python -m tests.torture.faults --most 12
	$(BIN)/python -m tests.torture.faults --full-disks
	$(BIN)/python -m tests.torture.kills --points 500
	$(BIN)/python -m tests.torture.kills --points 60 --signal TERM
	$(BIN)/python -m tests.torture.same
	$(BIN)/python -m tests.torture.matrix
	$(BIN)/python -m tests.torture.mutants --count 10000 --only prepared,model
	$(BIN)/python -m tests.torture.mutants --count 400

clean:
	rm -rf $(VENV) $(GATEWAY) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

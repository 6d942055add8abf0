# make demo                    train two models on synthetic folds and compare them (no download)
# make demo STRUCTURES=DIR     the same on a folder of your own structure files
# make test                    the tests
# make lint                    ruff and mypy
# make bench                   timings, each against something else in the same run
# make clean                   remove the virtual environment and what the demo wrote

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO ?= demo
STRUCTURES ?=
PROTCONTACT_DATA ?= ../shared/data

.PHONY: demo test lint bench clean

$(VENV)/run.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(INSTALL) -e '.[dev]'
	touch $@

demo: $(VENV)/run.stamp
	$(BIN)/python scripts/demo.py --out "$(DEMO)" $(if $(STRUCTURES),--structures "$(STRUCTURES)")

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp
	$(BIN)/python scripts/bench/read.py "$(PROTCONTACT_DATA)/nasty"
	$(BIN)/python scripts/bench/prepare.py "$(PROTCONTACT_DATA)/chains.tar"
	$(BIN)/python scripts/bench/step.py
	$(BIN)/python scripts/bench/train.py
	$(BIN)/python scripts/bench/gradflow_cost.py
	$(BIN)/python scripts/bench/gradflow_truth.py
	$(BIN)/python scripts/bench/probes.py

clean:
	rm -rf $(VENV) $(DEMO)

# Everything happens in .venv; `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO_OUTPUT := demo-output

# Run in this order by `make bench`; each prints its own tables.
BENCHMARKS := \
	benchmarks/reading.py \
	benchmarks/quality.py \
	benchmarks/superpixels.py \
	benchmarks/paired.py \
	benchmarks/throughput.py \
	benchmarks/methods.py \
	benchmarks/measures.py \
	benchmarks/scaling.py \
	benchmarks/loaders.py \
	benchmarks/fresh.py \
	benchmarks/soft_encodings.py \
	benchmarks/trust.py

# torch and torchvision, which grad-cam (a judge in tests) asks for, stand beside the package so that pip fetches them first.
INSTALL := $(PIP) install -qq --prefer-binary -c constraints.txt torch torchvision -e

# One stamp for each thing installed, kept in .venv: what is up to date costs nothing and needs no network.
READY := $(VENV)/.ready
PACKAGE := $(VENV)/.package
DEV := $(VENV)/.dev
CONSUMERS := .venv-consumers
TRAINERS := $(CONSUMERS)/.ready
CODEBASES := $(CONSUMERS)/.codebases
# The last release with the reader wids; it cannot stand beside webdataset 1.0, so it has a folder of its own.
WIDS := webdataset==0.2.111

# What `make evidence` trains on, for how long, and in how many processes of one thread each.
EVIDENCE := $(VENV)/.evidence
SOURCE ?=
BUDGET_HOURS ?= 1
PROCESSES ?= 2
DEVICE ?= cpu

# What an installation has to be renewed for; Python modules are read where they stand.
BUILT_FROM := pyproject.toml setup.py constraints.txt $(wildcard stages/kernels/native/*.[ch])

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help docs demo test types quick test-slow test-trainers test-faults bench bench-gpu evidence evidence-quick evidence-report house licences clean distclean

help:  ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1	/p' Makefile | expand -t 17

demo: $(PACKAGE)  ## make the demonstration dataset in demo-output/ and print where it is
	@$(BIN)/hsmix-gen demo $(DEMO_OUTPUT)

test: $(DEV)  ## lint, types and the quick tests: what every change has to pass
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@$(MAKE) --no-print-directory --jobs=2 types quick

# Side by side: tests wait for disks, locks and processes now and then.
types: $(DEV)
	$(BIN)/mypy

# A file at a time for each worker, as fixtures last for a file; in the order of names, so that short files come last.
quick: $(DEV)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not faults"

test-slow: $(DEV) $(TRAINERS)  ## the tests that take minutes, and other trainers over our outputs
	$(BIN)/pytest -m slow --ignore=tests/consumers
	$(CONSUMERS)/bin/pytest tests/consumers

test-trainers: $(DEV) $(CODEBASES)  ## scripts of other codebases over our exports; variables name their checkouts (docs/howto/trainers.md)
	$(CONSUMERS)/bin/pytest tests/trainers -m slow -rs

test-faults: $(DEV)  ## every fault of the plan, long ones too; prints the table of faults
	$(BIN)/pytest -n 2 --dist loadfile tests/faults tests -m "fault and not gpu" --fault-table fault-table.md

bench: $(DEV)  ## the benchmarks, one after the other
	@set -e; for benchmark in $(BENCHMARKS); do echo "== $$benchmark"; $(BIN)/python "$$benchmark"; done

bench-gpu:  ## Grad-CAM on a CUDA device; needs torch alone, in PYTHON or in .venv
	@PYTHONPATH=.typing $(if $(wildcard $(READY)),$(BIN)/python,$(PYTHON)) benchmarks/gradcam_gpu.py

evidence: $(EVIDENCE)  ## train what is missing of the plan: SOURCE=FOLDER BUDGET_HOURS=1 PROCESSES=2 DEVICE=cpu
	$(BIN)/python benchmarks/evidence.py run $(if $(SOURCE),--source $(SOURCE)) --hours $(BUDGET_HOURS) \
		--processes $(PROCESSES) --device $(DEVICE) $(if $(filter cuda%,$(DEVICE)),--large)

evidence-quick: $(EVIDENCE)  ## some minutes of training: does the harness find a planted gain and a planted loss?
	$(BIN)/python benchmarks/evidence.py quick

evidence-report: $(EVIDENCE)  ## write the tables and figures of docs/evidence.md and the README from the results
	$(BIN)/python benchmarks/evidence.py report

house:  ## print the rooms of the code along the way of the data, and what each imports from which
	@$(PYTHON) -m tests.house

docs: $(DEV)  ## build the manual in site/, pages from the code first; a broken link is an error
	$(BIN)/python -m tests.manual
	$(BIN)/python -m mkdocs build --strict

licences: $(DEV)  ## print the licence of everything that a plain installation brings
	@$(BIN)/python -m tests.licences

clean:  ## remove what builds, tests and the demonstration leave behind
	rm -rf build dist site fault-table.md *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis $(DEMO_OUTPUT) $(DEMO_OUTPUT)-source
	find . -path ./$(VENV) -prune -o -path ./$(CONSUMERS) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## the same, and the environments
	rm -rf $(VENV) $(CONSUMERS)

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: hsmix-gen needs Python 3.11 or newer, '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>/dev/null || echo missing or broken);" \
			"name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -qq --upgrade "pip>=25.1"
	@touch $@

$(PACKAGE): $(BUILT_FROM) | $(READY)
	@echo "installing hsmix-gen (the first time this takes some minutes and, with torch, some 6 GB) ..."
	@$(INSTALL) .
	@touch $@

$(DEV): $(BUILT_FROM) | $(READY)
	@echo "installing hsmix-gen and its tools (the first time this takes some minutes and, with torch, some 6 GB) ..."
	@$(INSTALL) '.[coco,dicom,s3]' --group dev
	@touch $(PACKAGE) $@

$(EVIDENCE): $(BUILT_FROM) | $(READY)
	@echo "installing hsmix-gen and what its trainings need (the first time this takes some minutes) ..."
	@$(INSTALL) . --group evidence
	@touch $(PACKAGE) $@

$(TRAINERS): pyproject.toml tests/consumers/constraints.txt | $(READY)
	@echo "making $(CONSUMERS) with other trainers (some 8 GB, some minutes) ..."
	@$(PYTHON) -m venv $(CONSUMERS)
	@$(CONSUMERS)/bin/python -m pip --disable-pip-version-check install -qq --upgrade "pip>=25.1"
	@$(CONSUMERS)/bin/python -m pip --disable-pip-version-check install -qq --prefer-binary \
		-c tests/consumers/constraints.txt torch torchvision -e . --group consumers
	@$(CONSUMERS)/bin/python -m pip --disable-pip-version-check install -qq --no-deps --upgrade \
		--target $(CONSUMERS)/wids "$(WIDS)"
	@touch $@

$(CODEBASES): $(TRAINERS)
	@$(CONSUMERS)/bin/python -m pip --disable-pip-version-check install -qq --prefer-binary \
		-c tests/consumers/constraints.txt --group trainers
	@touch $@

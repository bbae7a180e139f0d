# make demo, make test, make check, make bench: each sets up what it needs first.
.PHONY: help setup demo test test-rust test-python check bench clean

PYTHON := .venv/bin/python
PLAN ?= plans/demo.toml
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv: Python 3.12, the locked packages, the extension in release mode.
	@scripts/setup.sh

demo: setup ## Turn this machine's own Python installation into a trained model.
	@scripts/demo.sh '$(PLAN)'

test: setup test-rust test-python ## Run all tests, on the CPU.

test-rust: setup
	cargo test --locked --quiet

test-python: setup
	$(PYTHON) -m pytest

check: setup ## Formats, lints, types, the stub against the build, shell scripts, import boundaries.
	cargo fmt --all --check
	cargo clippy --locked --all-targets --features python --quiet -- --deny warnings
	ruff format --check .
	ruff check .
	mypy
	$(PYTHON) -m mypy.stubtest preprocess._rust_ext --ignore-disjoint-bases
	shellcheck scripts/*.sh .ci/run $(wildcard slurm/*.sh slurm/*.sbatch)

bench: setup ## Measure against named peers; the tables go to benchmarks/results.
	@scripts/bench.sh

clean: ## Remove what was built here.
	rm -rf .venv .tools target runs preprocess/*.so

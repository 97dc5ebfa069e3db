# `make demo` and `make test` do all their own set-up; ARGS is passed on:
#   make demo ARGS="--seconds 30 --json"
#   make test ARGS="-k outbox"
SHELL := /bin/bash
ARGS ?=

.PHONY: help demo test qa faults fuzz mutants format clean
help:
	@echo "make demo    two simulated hubs, daemon and platform in this terminal; ARGS=... go to kanhu demo"
	@echo "make test    the whole check: lint, types, tests; ARGS=... go to pytest"
	@echo "make qa      the hardware-in-the-loop suite on simulated boards, its smoke tests; ARGS=... go to pytest,"
	@echo "             such as \"-m release\" or \"-m smoke --target usb --bench bench.toml\""
	@echo "make faults  1,000 schedules of faults on accelerated time, then 50 on real processes;"
	@echo "             ARGS=... such as --schedules 100 or --seed 7: those on accelerated time only"
	@echo "make fuzz    coverage-guided fuzzing of every decoder; ARGS=... such as --seconds 600"
	@echo "make mutants breaks a copy of the product in ten ways and asks the release suite who notices;"
	@echo "             ARGS=... such as 03 or --all"
	@echo "make format  ruff's formatter and automatic fixes"
	@echo "make clean   remove the virtual environment and caches"

demo:
	@scripts/setup.sh demo
	@.venv/bin/kanhu demo $(ARGS)

test:
	@scripts/setup.sh test
	@scripts/check.sh $(ARGS)

qa:
	@scripts/setup.sh test
	@PATH="$(CURDIR)/.venv/bin:$$PATH:/usr/sbin:/sbin" .venv/bin/pytest hil_tests $(if $(strip $(ARGS)),$(ARGS),-m smoke)

faults:
	@scripts/setup.sh test
	@.venv/bin/python -m kanhu.sim.world $(ARGS)
	$(if $(strip $(ARGS)),,@.venv/bin/python -m kanhu.sim.faults --schedules 50)

fuzz:
	@scripts/setup.sh test
	@.venv/bin/python tests/fuzz/run.py $(ARGS)

mutants:
	@scripts/setup.sh test
	@PATH="$(CURDIR)/.venv/bin:$$PATH:/usr/sbin:/sbin" .venv/bin/python tests/qa/mutants/run.py $(ARGS)

format:
	@scripts/setup.sh demo
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

clean:
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

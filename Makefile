# make demo   the whole job on three virtual nodes        make test   everything
# make lint   style, types, shell scripts                 make clean  ends the lab, removes what was made here
# make bench  beside the peers, in 15 minutes             make bench-full  more of it
# make test-fast  the edit loop, in half a minute         make lock   pins what requirements*.txt allow
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: demo test test-fast test-unit test-ssh test-lab test-full lint lock bench bench-full clean
.PHONY: packages packages-test packages-bench
.DELETE_ON_ERROR:

demo: packages $(VENV)/.run
	@BIN=$(BIN) sh lab/demo.sh

# The rings by what they need: nothing; root and sshd on loopback; virtual machines.
test: test-unit test-ssh test-lab

# The edit loop: rules, texts and the command line, without shells and servers.
test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 -m "not slow" tests/unit/core tests/unit/cli tests/unit/console tests/unit/local \
		tests/unit/test_architecture.py

test-unit: packages-test $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 tests/unit -m "not slow" --least-cases 1000 --cov --cov-report=
	$(BIN)/python -m pytest -q tests/unit -m slow # one at a time: neighbours on the other core cost time and memory

test-ssh: packages-test $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/ssh -m "not full"

test-lab: packages-test $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 tests/lab -m "not full"

# And what would make `make test` too long on two cores: every fault at every command, each reboot of each case.
test-full: test-unit
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/ssh --fault-table docs/fault-table.md
	$(BIN)/python -m pytest -q -n 2 tests/lab --fault-table docs/fault-table-kernels.md

lint: packages-test $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	shellcheck -s sh tasks/node/scripts/*.sh scripts/*.sh lab/*.sh lab/vm/guest/*.sh lab/fleet/*.sh
	shellcheck .ci/run
	$(BIN)/codespell

# The newest versions that the ranges allow, for all Python versions and platforms, with their hashes.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade

lock: $(VENV)/.dev
	$(LOCK) requirements-dev.txt -o requirements-dev.lock
	$(LOCK) requirements.txt -c requirements-dev.lock -o requirements.lock

# Writes docs/bench.md, docs/bench.svg and docs/bench.jsonl; as root, on a machine that does nothing else.
bench: packages-bench $(VENV)/.dev
	$(BIN)/python -m bench

bench-full: packages-bench $(VENV)/.dev
	$(BIN)/python -m bench --full

packages:
	@sh scripts/packages.sh demo

packages-test:
	@sh scripts/packages.sh demo test

packages-bench:
	@sh scripts/packages.sh bench

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock | packages $(BIN)/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | packages-test $(BIN)/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.run

clean:
	-[ ! -x $(BIN)/fab ] || $(BIN)/fab lab.down
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

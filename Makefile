# make demo   the whole job on three virtual nodes        make test   everything
# make lint   style, types, shell scripts                 make clean  ends the lab, removes what was made here
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: demo test test-unit test-ssh test-lab lint clean packages packages-test
.DELETE_ON_ERROR:

demo: packages $(VENV)/.run
	@BIN=$(BIN) sh lab/demo.sh

# The rings by what they need: nothing; root and sshd on loopback; virtual machines.
test: test-unit test-ssh test-lab

test-unit: packages-test $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 tests/unit --least-cases 1000

test-ssh: packages-test $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/ssh

test-lab: packages-test $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/lab

lint: packages-test $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	shellcheck -s sh tasks/remote/node/*.sh lab/*.sh lab/guest/*.sh lab/fleet/*.sh
	shellcheck .ci/run

packages:
	@sh lab/packages.sh demo

packages-test:
	@sh lab/packages.sh demo test

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | packages $(BIN)/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt | packages-test $(BIN)/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.run

clean:
	-[ ! -x $(BIN)/fab ] || $(BIN)/fab lab.down
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

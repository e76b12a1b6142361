PY := .venv/bin/python
BIN := .venv/bin
# One name per version of the requirements: a change of either file rebuilds .venv.
VERSION := $(shell cat requirements-run.txt requirements-dev.txt | cksum | cut -d ' ' -f 1)
RUN := .venv/.run-$(VERSION)
DEV := .venv/.dev-$(VERSION)
PEERS := .local/peers/.installed-$(shell cksum < bench/peers/requirements.txt | cut -d ' ' -f 1)

# Tried in this order: some dependencies have no wheel for 3.14, the bundled Redis none for 3.13.
PYTHONS := python3.12 python3.11 python3.13 python3
# Prints the base interpreter of an active environment, which may be the one that is replaced.
FITS := import ensurepip, sys, venv; \
	sys.exit(1) if not (3, 11) <= sys.version_info[:2] < (3, 14) else print(sys._base_executable)
NO_PYTHON := Python 3.11, 3.12 or 3.13 with venv was not found. Install it (apt install python3-venv, \
	brew install python@3.12) or name it: PYTHON=/path/to/python3.12.
FIND_PYTHON = for name in $(or $(PYTHON),$(PYTHONS)); do \
	  python=$$("$$name" -c '$(FITS)' 2>/dev/null) && break || python=; \
	done; \
	[ -n "$$python" ] || { echo '$(NO_PYTHON)' >&2; exit 1; }
COMPILE := pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"

# Used without being imported: a server, a driver, what libraries and the log's settings load.
UNIMPORTED := alembic|gunicorn|psycopg2-binary|python-dotenv|python-json-logger|types-bleach|types-psutil
DEPTRY := --requirements-files .venv/declared.txt --requirements-files-dev .venv/declared-dev.txt \
	--extend-exclude '\.local|bench/peers' --per-rule-ignores 'DEP002=$(UNIMPORTED),DEP004=mirakuru|playwright|psutil' --no-ansi

.PHONY: help run test bench peers chaos fmt lint unit migration lock vendor hooks clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: $(RUN) ## start everything on http://127.0.0.1:8000 (PORT=…) until Ctrl-C
	@exec $(PY) -m dev.run

# The coverage is checked by a command of its own: with --fail-under the first one would drop what
# the workers have run.
test: $(DEV) lint ## run all checks and tests, as CI does
	$(PY) -m dev.servers -- \
	  $(PY) -m slipcover --dont-wrap-pytest --format json --out .coverage \
	  -m pytest -n 2 --dist loadscope --no-loadscope-reorder
	@$(PY) -m slipcover --merge .coverage --out .coverage --fail-under 100

chaos: $(DEV) ## run the full-size stress and fault tests (kill -9 under load, 10,000 hostile bodies, …)
	exec $(PY) -m dev.servers --durable -- $(PY) -m pytest -n 2 --dist loadscope -m slow

bench: $(DEV) ## measure performance against the framework's and the database's limits (QUICK=1: smoke test)
	@exec $(PY) -m bench

peers: $(PEERS) ## install the other frameworks with which make bench compares a create

fmt: $(DEV) ## format the code and fix what can be fixed automatically
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(DEV) ## check formatting, style, types, layers and dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(wildcard pipelabs bench dev tests config.py wsgi.py gunicorn.conf.py)
	$(BIN)/lint-imports
	$(PY) -m dev.declared
	$(BIN)/deptry . $(DEPTRY)
	$(BIN)/codespell
	$(BIN)/djlint pipelabs/templates --lint --quiet

unit: $(DEV) ## run some tests: make unit T=tests/integration/api
	@exec $(PY) -m dev.servers -- $(PY) -m pytest $(T)

migration: $(DEV) ## write a migration from the models: make migration M="client telegram"
	@[ -n "$$M" ] || { echo 'Describe the change: make migration M="client telegram"' >&2; exit 1; }
	@SECRET_KEY=$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(48))'); \
	next=$$(printf %04d $$(($$(ls migrations/versions/*.py | wc -l) + 1))); \
	export SECRET_KEY next; $(PY) -m dev.servers -- sh -c '$(BIN)/flask --app wsgi db upgrade && \
	  $(BIN)/flask --app wsgi db migrate --rev-id "$$next" -m "$$M"'
	@$(BIN)/ruff format -q migrations

lock: $(DEV) ## resolve what setup.cfg declares into the requirements files, with hashes
	$(BIN)/uv $(COMPILE) setup.cfg -o requirements.txt
	$(BIN)/uv $(COMPILE) --extra run -c requirements.txt setup.cfg -o requirements-run.txt
	$(BIN)/uv $(COMPILE) --extra run --extra dev -c requirements-run.txt setup.cfg -o requirements-dev.txt
	$(BIN)/uv $(COMPILE) -c requirements-run.txt bench/peers/requirements.in -o bench/peers/requirements.txt

vendor: $(DEV) ## download the browser's files again, at the versions pinned in dev/vendor.py (needs npm)
	$(PY) -m dev.vendor

hooks: ## run make lint before each git commit
	@hook=$$(git rev-parse --git-path hooks/pre-commit) && mkdir -p "$$(dirname "$$hook")" && \
	printf '#!/bin/sh\nexec make lint\n' >"$$hook" && chmod +x "$$hook"

clean: ## delete what make has created here: .venv, .local with its data, caches
	@$(FIND_PYTHON); exec "$$python" -B -m dev.clean

$(RUN):
	@$(FIND_PYTHON); exec "$$python" -m dev.install run $@

$(DEV):
	@$(FIND_PYTHON); exec "$$python" -m dev.install dev $@

# In an environment of their own: neither the service nor a check needs these packages.
$(PEERS): | $(DEV)
	$(PY) -m venv --clear .local/peers
	.local/peers/bin/python -m pip --disable-pip-version-check install -q --require-hashes \
	  --only-binary :all: -r bench/peers/requirements.txt
	@touch $@

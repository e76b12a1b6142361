PY := .venv/bin/python
BIN := .venv/bin
PIP := $(PY) -m pip --disable-pip-version-check
STAMP := .venv/.installed-$(shell cksum requirements-dev.txt | cut -d ' ' -f 1)

# Tried in this order: some dependencies have no wheel for 3.14, the bundled Redis none for 3.13.
PYTHONS := python3.12 python3.11 python3.13 python3
# Prints the interpreter behind an activated environment, for that may be the one replaced.
FITS := import ensurepip, sys, venv; \
	sys.exit(1) if not (3, 11) <= sys.version_info[:2] < (3, 14) else print(sys._base_executable)
NO_PYTHON := No Python 3.11, 3.12 or 3.13 with venv was found: apt install python3-venv, \
	brew install python@3.12, or name one with PYTHON=/path/to/python3.12.
# With their extras: pip takes coverage[toml] for unpinned where only coverage is pinned.
COMPILE := pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-strip-extras --no-emit-index-url --custom-compile-command "make lock"
INSTALL := install -q --require-hashes --only-binary :all:

# Used without being imported: a server, a driver, what libraries and the log's settings load.
UNIMPORTED := alembic|gunicorn|psycopg2-binary|python-dotenv|python-json-logger|types-bleach
DEPTRY := --requirements-files .venv/declared.txt --requirements-files-dev .venv/declared-dev.txt \
	--extend-exclude '\.local' --per-rule-ignores 'DEP002=$(UNIMPORTED),DEP004=brotli|playwright' --no-ansi

.PHONY: help run test bench chaos fmt lint unit migration lock vendor hooks

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: $(STAMP) ## start everything on http://127.0.0.1:8000 (PORT=…); Ctrl-C stops it
	@exec $(PY) -m dev.run

test: $(STAMP) lint ## run every check and test, as CI does
	exec $(PY) -m dev.servers -- \
	  $(PY) -m pytest -n 2 --dist loadscope --no-loadscope-reorder \
	  --cov --cov-report=term:skip-covered --cov-fail-under=100

chaos: $(STAMP) ## run the long tests whole: kill -9 under load, 10,000 hostile bodies, …
	exec $(PY) -m dev.servers --durable -- $(PY) -m pytest -n 2 --dist loadscope -m slow

bench: $(STAMP) ## measure a create beside the framework's and the database's ceilings (QUICK=1: a smoke check)
	@exec $(PY) -m bench

fmt: $(STAMP) ## format the code and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP) ## check format, style, types, layers and dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(wildcard pipelabs bench dev tests config.py wsgi.py gunicorn.conf.py)
	$(BIN)/lint-imports
	$(PY) -m dev.declared
	$(BIN)/deptry . $(DEPTRY)

unit: $(STAMP) ## run some tests: make unit T=tests/integration/api
	@exec $(PY) -m dev.servers -- $(PY) -m pytest $(T)

migration: $(STAMP) ## write a migration from the models: make migration M="client telegram"
	@[ -n "$$M" ] || { echo 'Say what changes: make migration M="client telegram"' >&2; exit 1; }
	@SECRET_KEY=$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(48))'); \
	next=$$(printf %04d $$(($$(ls migrations/versions/*.py | wc -l) + 1))); \
	export SECRET_KEY next; $(PY) -m dev.servers -- sh -c '$(BIN)/flask --app wsgi db upgrade && \
	  $(BIN)/flask --app wsgi db migrate --rev-id "$$next" -m "$$M"'
	@$(BIN)/ruff format -q migrations

lock: $(STAMP) ## resolve what setup.cfg declares into both requirements files, with hashes
	$(BIN)/uv $(COMPILE) setup.cfg -o requirements.txt
	$(BIN)/uv $(COMPILE) --extra dev -c requirements.txt setup.cfg -o requirements-dev.txt

vendor: $(STAMP) ## fetch the browser's files anew at the versions pinned in dev/vendor.py (needs npm)
	$(PY) -m dev.vendor

hooks: ## let git call make lint before each commit
	@hook=$$(git rev-parse --git-path hooks/pre-commit) && mkdir -p "$$(dirname "$$hook")" && \
	printf '#!/bin/sh\nexec make lint\n' >"$$hook" && chmod +x "$$hook"

# The stamp comes last, so an interrupted installation is done anew. uv takes seconds where pip
# takes a minute; pip remains for places where only pip is told where packages come from.
$(STAMP):
	@set -e; \
	for python in $(or $(PYTHON),$(PYTHONS)); do \
	  found=$$("$$python" -c '$(FITS)' 2>/dev/null) && break || found=; \
	done; \
	[ -n "$$found" ] || { echo '$(NO_PYTHON)' >&2; exit 1; }; \
	echo "Installing into .venv with $$found …"; \
	rm -rf .venv; "$$found" -m venv .venv; \
	sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt >.venv/uv.txt; \
	$(PIP) $(INSTALL) --no-deps -r .venv/uv.txt && \
	$(BIN)/uv pip $(INSTALL) --compile-bytecode --python $(PY) -r requirements-dev.txt || \
	$(PIP) $(INSTALL) -r requirements-dev.txt; \
	touch $@

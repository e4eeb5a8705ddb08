# Set-up, tests and upkeep. `make run` and `make test` need no step before them; both work again and again without a network.
#
#   PYTHON=FILE   the interpreter; else /usr/bin/python3 where it is 3.11 or newer, else the first one that is
#   VENV=DIR      the private environment. As root it stands under /var/cache: a front that has dropped to `nobody` reads its modules
#                 there, which it could not in a checkout below a private home
#   ARGS=...      passed on to what the target runs; `make test` without has four processes, for most tests wait for a peer or a clock
#   PEERS=install `make test` as root also installs the Debian packages of packaging/peers.txt; CI=true does the same

SHELL := /bin/sh
.SHELLFLAGS := -euc
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON := $(shell for python in /usr/bin/python3 python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$python" && break; done)
VERSION := $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifeq ($(shell id -u),0)
VENV := /var/cache/saslauthd-py/$(shell pwd -P | sha256sum | cut -c1-12)-$(VERSION)
else
VENV := .venv/$(VERSION)
endif
BIN := $(VENV)/bin
UV := uv

# A stamp is named for the contents it stands for: what changed, appeared or went is seen whatever the clock of a file says.
PINS := $(shell cat packaging/requirements.txt packaging/requirements-dev.txt | sha256sum | cut -c1-12)
SOURCES := $(shell find saslauthd_py pyproject.toml README.md LICENSE -type f ! -name '*.pyc' -exec sha256sum {} + | sort | sha256sum | cut -c1-12)
RUN_STAMP := $(VENV)/.run-$(PINS)
DEV_STAMP := $(VENV)/.dev-$(PINS)
PACKAGE_STAMP := $(VENV)/.package-$(SOURCES)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q

.PHONY: help run test lint types format bench man pins clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

run: $(PACKAGE_STAMP) ## set up, then `saslauthd-py demo $(ARGS)`
	@exec $(BIN)/saslauthd-py demo $(ARGS)

test: $(DEV_STAMP) $(PACKAGE_STAMP) ## ruff, mypy --strict, pytest $(ARGS)
	@if [ "$(CI)" = true ] || [ "$(PEERS)" = install ]; then packaging/install-peers.sh; fi
	$(MAKE) --no-print-directory lint types
	# Safe path: what is tested is the installed package, as the processes see it that drop their privileges.
	PYTHONSAFEPATH=1 $(BIN)/pytest $(or $(ARGS),-n 4 --dist loadfile --no-loadscope-reorder)

lint: $(DEV_STAMP) ## ruff check, ruff format --check
	@$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(DEV_STAMP) $(PACKAGE_STAMP) ## mypy --strict
	@$(BIN)/mypy --strict

format: $(DEV_STAMP) ## ruff format, and what ruff check can mend
	@$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(PACKAGE_STAMP) ## tests/bench $(ARGS): the budgets, beside the stock daemon
	@PYTHONSAFEPATH=1 exec $(BIN)/python tests/bench/run.py $(ARGS)

man: $(PACKAGE_STAMP) ## the man page, from the command's own parser
	@exec $(BIN)/python packaging/man.py $(ARGS)

pins: ## packaging/requirements*.txt from pyproject.toml; needs uv; ARGS=--upgrade takes newer versions
	@command -v $(UV) >/dev/null || { echo 'make pins: no uv found: install it (pip install uv), or name one: make pins UV=FILE' >&2; exit 69; }
	pin() { $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make pins' $(ARGS) "$$@"; }
	pin pyproject.toml --group build -o packaging/requirements.txt
	pin --group dev -c packaging/requirements.txt -o packaging/requirements-dev.txt

clean: ## removes the environment and every cache
	@if [ -e $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find saslauthd_py tests packaging -name __pycache__ -type d -prune -exec rm -rf {} +

# Anew for other pins, so that nothing lingers; never in a directory that holds anything else.
$(RUN_STAMP):
	@umask 022
	if [ -z "$(VERSION)" ]; then echo 'make: no Python 3.11 or newer found: install one, or name it: make $(MAKECMDGOALS) PYTHON=FILE' >&2; exit 69; fi
	if [ ! -e $(VENV)/pyvenv.cfg ] && [ -n "$$(ls -A $(VENV) 2>/dev/null)" ]; then
		echo 'make: $(VENV) is not empty and no Python environment: name another directory: VENV=DIR' >&2; exit 73
	fi
	$(VENV_MODULE)
	"$(PYTHON)" -m venv --clear $(VENV)
	$(PIP) install --require-hashes -r packaging/requirements.txt
	touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@umask 022
	$(PIP) install --require-hashes -r packaging/requirements-dev.txt
	touch $@

$(PACKAGE_STAMP): $(RUN_STAMP)
	@umask 022
	rm -f $(VENV)/.package-*
	$(PIP) install --no-index --no-deps --no-build-isolation --force-reinstall .
	touch $@

# Debian keeps `venv` in a package of its own.
define VENV_MODULE
if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then
	install='apt-get install -y --no-install-recommends python$(VERSION)-venv'
	if ! command -v apt-get >/dev/null; then echo 'make: $(PYTHON) has no venv module: install it with your package tool' >&2; exit 69; fi
	if [ "$$(id -u)" != 0 ]; then echo "make: $(PYTHON) has no venv module; as root: $$install" >&2; exit 69; fi
	echo 'Installing python$(VERSION)-venv'
	export DEBIAN_FRONTEND=noninteractive
	$$install -qq >/dev/null 2>&1 || { apt-get update -qq; $$install -qq >/dev/null; }
fi
endef

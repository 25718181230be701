# Everything the project needs is made here: a virtual environment in .venv, and what is installed into it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for half of their time (devices, time-outs), so two cores have work for four workers, of some 500 MB each.
# WORKERS=0 runs the tests in one process.
WORKERS ?= 4
# Neighbours share what a worker has made, so each begins with its part of the list; who is done takes over from others.
PYTEST_WORKERS := -n $(WORKERS) --dist worksteal
FUZZ_SECONDS ?= 60
APT_LOCK_SECONDS ?= 300

# A .venv that another Python made serves as long as nobody names one: PYTHON=python3.13 makes it anew.
WHICH := import os, sys; print(sys.version.split()[0], os.path.realpath(sys.base_prefix))
ifneq ($(origin PYTHON),file)
ifneq ($(wildcard $(BIN)/python),)
MADE_BY := $(shell $(BIN)/python -c '$(WHICH)' 2>/dev/null)
ifneq ($(MADE_BY),$(shell $(PYTHON) -c '$(WHICH)' 2>/dev/null))
OTHER_PYTHON := other-python
endif
endif
endif

.DEFAULT_GOAL := help
.PHONY: other-python docs chaos hawkbit mutants help demo check test softhsm dbus shells lint bench bench-quick peers fuzz format dist clean

help:
	@echo "make demo    the main job, on the virtual nRF5340, with real firmware"
	@echo "make check   before a commit: ruff, mypy and the fast tests, in about a minute"
	@echo "make test    all tests (PYTHON=python3.13: on that Python, in a new $(VENV))"
	@echo "make lint    ruff, mypy --strict, unused code, known vulnerabilities of the packages"
	@echo "make docs    the documentation site in build/site, warnings are errors"
	@echo "make bench   speed, against public peers, as ratios with their aims (more than an hour)"
	@echo "make bench-quick   the same with fewer runs, in two minutes"
	@echo "make peers   the peers in Go and Rust, for make bench, in build/peers"
	@echo "make chaos   updates in which everything goes wrong, in thousands of cases"
	@echo "make mutants faults put into the code on purpose: do the tests notice? (ROOMS=\"smp image\")"
	@echo "make fuzz    every parser under atheris, FUZZ_SECONDS (60) each"
	@echo "make hawkbit a hawkBit server on port 8080, to try the gateway agent with"
	@echo "make dist    wheel, source distribution and SBOM for a release, checked, in dist/"
	@echo "make clean   remove everything that make created here"

# ensurepip is a package of its own on Debian: install it where we may, else say how.
$(BIN)/python: $(OTHER_PYTHON)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "smpdfu needs Python 3.11 or later; set PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(APT_INSTALL) python3-venv; } \
		|| { echo "Python's venv module is missing: install it (Debian: apt-get install python3-venv) and run make again"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

other-python:
	@echo "$(VENV) was made by Python $(MADE_BY); PYTHON names $(PYTHON): $(VENV) is made anew"

$(VENV)/demo.stamp: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[samples]'
	@touch $@

$(VENV)/test.stamp: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[samples,test,lint]'
	@touch $@ $(VENV)/demo.stamp

$(VENV)/dist.stamp: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dist]'
	@touch $@

demo: $(VENV)/demo.stamp
	@$(BIN)/python sample_images/demo.py

# apt waits for the program that has its lock, and says nothing about it: so that program is named here (from /proc/locks).
APT_LOCKS ?= /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock
NAME_APT_HOLDER = for lock in $(APT_LOCKS); do \
	pid=$$(awk -v inode=":$$(stat -c %i $$lock 2>/dev/null || echo none)$$" '$$6 ~ inode { print $$5; exit }' /proc/locks 2>/dev/null); \
	[ -z "$$pid" ] || echo "apt waits up to $(APT_LOCK_SECONDS) s for $$(cat /proc/$$pid/comm) (pid $$pid), which holds $$lock" >&2; done

# apt installs from the lists that it has, if it cannot renew every index.
APT_INSTALL = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	&& { $(NAME_APT_HOLDER); } \
	&& { apt-get -o DPkg::Lock::Timeout=$(APT_LOCK_SECONDS) update -qq || echo "apt-get update failed for an index; installing from what is known"; } \
	&& apt-get -o DPkg::Lock::Timeout=$(APT_LOCK_SECONDS) install -y -qq

# A real token for the tests of pkcs11: keys. Where it cannot be installed those tests say so and are skipped.
softhsm:
	@{ command -v softhsm2-util && command -v pkcs11-tool; } >/dev/null \
		|| $(APT_INSTALL) softhsm2 opensc >/dev/null; } \
		|| echo "SoftHSM2 and OpenSC are not there and cannot be installed (see above): the tests that need them are skipped"

# The shells whose completion the tests try. Where one cannot be installed its test is skipped.
shells:
	@{ command -v zsh && command -v fish && command -v mandoc; } >/dev/null \
		|| $(APT_INSTALL) zsh fish mandoc >/dev/null; } \
		|| echo "zsh, fish or mandoc is not there and cannot be installed (see above): the tests that need it are skipped"

# A private D-Bus for the tests of Bluetooth through BlueZ. Where it cannot be installed those tests are skipped.
dbus:
	@command -v dbus-daemon >/dev/null \
		|| $(APT_INSTALL) dbus >/dev/null; } \
		|| echo "dbus-daemon is not there and cannot be installed (see above): the tests that need it are skipped"

# The processes that tests start need compiled modules, too: they are kept in the virtual environment, also where
# PYTHONDONTWRITEBYTECODE keeps Python from making any.
test check: export PYTHONDONTWRITEBYTECODE :=
test check: export PYTHONPYCACHEPREFIX := $(abspath $(VENV))/pycache

# The tests' files are in memory where there is room: fsync, of which journals and devices make thousands, waits for no
# disk there. Of a run, only the files of failed tests stay (pyproject.toml).
TEST_FILES_KIB := 4000000
IN_MEMORY := [ -w /dev/shm ] && [ "$$(df -Pk /dev/shm | awk 'END { print $$4 }')" -gt $(TEST_FILES_KIB) ]
test check: export PYTEST_DEBUG_TEMPROOT := $(or $(PYTEST_DEBUG_TEMPROOT),$(shell $(IN_MEMORY) && echo /dev/shm))

test: $(VENV)/test.stamp softhsm dbus shells
	$(BIN)/python -m pytest $(PYTEST_WORKERS) $(PYTEST_ARGS)

# Types and tests run at the same time.
check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/mypy > $(VENV)/types.txt 2>&1 & types=$$!; \
	$(BIN)/python -m pytest $(PYTEST_WORKERS) -m "not slow" $(PYTEST_ARGS); tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/types.txt; exit $$((tests | types))

# pip-audit asks the package registry for advisories. If the registry does not answer, the output says so.
lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vulture
	@$(BIN)/python -m pip install -q --disable-pip-version-check pip-audit 2>/dev/null || true
	@$(BIN)/python -m tests.audit

docs: $(VENV)/test.stamp
	$(BIN)/mkdocs build --strict --quiet

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The peers in Go and Rust, in build/peers. Where a toolchain or a package is not there the benchmarks say so.
peers: $(VENV)/test.stamp
	@{ command -v cargo && pkg-config --exists libudev dbus-1; } >/dev/null \
		|| ! command -v cargo >/dev/null \
		|| $(APT_INSTALL) pkg-config libudev-dev libdbus-1-dev >/dev/null; } \
		|| echo "libudev and D-Bus are not there and cannot be installed (see above): the peers in Rust are not built"
	@$(BIN)/python -m benchmarks.peers

bench: $(VENV)/test.stamp peers
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-quick: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks --quick $(BENCH_ARGS)

chaos: $(VENV)/test.stamp
	@$(BIN)/python -m tests.chaos

# The real update server, as the tests have it, for a person; it needs Java 21 and its jar (SMPDFU_HAWKBIT_JAR or Maven).
hawkbit:
	@$(PYTHON) -m tests.agent.servers.hawkbit $(HAWKBIT_PORT)

mutants: $(VENV)/test.stamp
	@$(BIN)/python -m tests.mutants $(ROOMS)

# atheris has wheels for some Pythons only, and needs clang for the others: where it is not there, that is said.
fuzz: $(VENV)/test.stamp
	@$(BIN)/python -m pip install -q --disable-pip-version-check --only-binary atheris -e '.[fuzz]' || true
	@$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS)

# The time that files in the archives bear: that of the last commit, so that the same commit gives the same bytes.
dist: export SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),1580601600)
dist: $(VENV)/dist.stamp
	rm -rf dist build/installed
	$(BIN)/python -m build -q --outdir dist
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv --without-pip build/installed
	$(BIN)/python -m pip --python build/installed/bin/python install -q --disable-pip-version-check dist/*.whl
	build/installed/bin/smpdfu --version
	sed "s/^dynamic = .*/version = \"$$(build/installed/bin/smpdfu --version)\"/" pyproject.toml > build/pyproject.toml
	$(BIN)/cyclonedx-py environment --pyproject build/pyproject.toml --output-reproducible -o dist/sbom.cdx.json build/installed
	cd dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# `make help` lists what there is. Everything that is made goes into target/, $(VENV)* and
# python/aioxide/*.so; nothing is made twice unless what it is made of has changed.

PYTHON ?= python3
VENV ?= .venv
# Which other Pythons `make test-pythons` takes, as "3.13 3.14"; all that are found if empty.
PYTHONS ?=
# Further arguments for the demo, for pytest, for the conformance runner and for the benchmark.
DEMO_ARGS ?=
PYTEST_ARGS ?=
CONFORMANCE_ARGS ?=
BENCH_ARGS ?=
# Further arguments for maturin when it builds a wheel, as "--zig --compatibility manylinux_2_28".
WHEEL_ARGS ?=
# How many seeds `make storm` takes.
STORM ?= 1000
# Which suites `make downstream` runs; all of them if empty.
SUITES ?=
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
export PIP_DISABLE_PIP_VERSION_CHECK := 1

SHELL := /bin/sh
.SHELLFLAGS := -euc
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

PY := $(VENV)/bin/python
STAMPS := $(VENV)/.aioxide
# What the runs leave for docs/compatibility.md.
RECORDS := $(CARGO_TARGET_DIR)/compatibility
WHEELS := $(CARGO_TARGET_DIR)/wheels
# Where maturin looks for the package ziglang, if WHEEL_ARGS has --zig.
export CARGO_ZIGBUILD_PYTHON_PATH := $(abspath $(PY))
MINOR = $$($(PY) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# In CI a Cargo.lock that does not fit the manifests is an error.
LOCKED := $(if $(CI),--locked)
# What `pip install .` leaves in $(VENV): a copy of python/aioxide, which would be tested in its place.
COPIED := $(wildcard $(VENV)/lib/python3.*/site-packages/aioxide/__init__.py)
RUST_SOURCES := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
# The load generator of the benchmarks is a workspace of its own.
LOADGEN := --manifest-path benchmarks/loadgen/Cargo.toml --target-dir target/loadgen
# The modules of CPython's suite about names that install() replaces.
INSTALLED := test_locks test_queues test_streams test_taskgroups test_tasks test_timeouts test_waitfor
# What a run on one more Python, or on one more build, need not repeat.
ONCE := $(addprefix --ignore=tests/,source typing docs demo programs)
# The extras that the Python tests need beside dev.
TEST_EXTRAS ?= demo docs examples bench programs
# The tests of the benchmarks, which other Pythons leave out.
BENCHMARK_TESTS ?= benchmarks
# The behaviour tests are typed as strictly as the rest, but misuse what they test on purpose.
BEHAVIOUR_TESTS := $(filter-out tests/conformance tests/docs tests/downstream tests/source tests/typing, \
	$(sort $(wildcard tests/*.py) $(patsubst %/,%,$(dir $(wildcard tests/*/test_*.py)))))
MISUSE := --no-warn-unused-ignores $(addprefix --disable-error-code=,arg-type attr-defined call-arg \
	comparison-overlap has-type misc no-any-return no-untyped-call operator union-attr var-annotated)

say = @printf '%s\n' "aioxide: $(1)"
# A long command that is quiet unless it fails.
logged = $(1) > $(STAMPS)/log 2>&1 || { cat $(STAMPS)/log >&2; exit 1; }

# An environment of another Python than the one that was asked for by name is a mistake.
ifneq ($(filter-out help clean,$(or $(MAKECMDGOALS),help)),)
ifneq ($(origin PYTHON),file)
ASKED := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null)
FOUND := $(shell sed -n 's/^version = \([0-9]*\.[0-9]*\).*/\1/p' $(VENV)/pyvenv.cfg 2> /dev/null)
ifneq ($(and $(ASKED),$(FOUND)),)
ifneq ($(ASKED),$(FOUND))
$(error $(VENV) is of Python $(FOUND) and PYTHON=$(PYTHON) is $(ASKED): name another VENV=, or remove this one)
endif
endif
endif
endif

.PHONY: help demo test storm test-rust test-python conformance downstream test-pythons test-checked \
	test-all test-package lint fmt bench bench-quick bench-docs bench-guard bench-examples build docs \
	compatibility wheel sdist clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(STAMPS)/extension $(STAMPS)/demo ## build, then crawl a local site in every way that Python has (DEMO_ARGS="...")
	@$(VENV)/bin/aioxide demo --scheduling benchmarks/scheduling.py \
		--output "$(CARGO_TARGET_DIR)/demo" $(DEMO_ARGS)

test: test-rust test-python conformance ## build, then every test: Rust, Python, CPython's own asyncio suite

build: $(STAMPS)/extension ## build the extension (release) into $(VENV), if it is out of date

storm: $(STAMPS)/extension $(STAMPS)/dev ## the random tests of tests/stress with many seeds (STORM=1000)
	@AIOXIDE_STORM=$(STORM) $(PY) -m pytest tests/stress $(PYTEST_ARGS)

test-rust: ## only the tests of the pure crates, aioxide-core and aioxide-driver
	@scripts/prerequisites.sh $(PYTHON)
	$(call say,Rust tests)
	@if cargo nextest --version > /dev/null 2>&1; then \
		cargo nextest run $(LOCKED) -p aioxide-core -p aioxide-driver; \
		cargo test $(LOCKED) --quiet --doc -p aioxide-core -p aioxide-driver; \
	else \
		cargo test $(LOCKED) -p aioxide-core -p aioxide-driver; \
	fi
	@cargo test $(LOCKED) --quiet $(LOADGEN)

test-python: $(STAMPS)/extension $(addprefix $(STAMPS)/,$(TEST_EXTRAS)) ## only the Python tests: behaviour, source and types
	$(call say,Python tests on $$($(PY) --version))
	@$(PY) -m pytest -m 'not conformance' $(PYTEST_ARGS)
	@$(if $(BENCHMARK_TESTS),$(PY) -m pytest --quiet $(BENCHMARK_TESTS),:)

conformance: $(STAMPS)/extension ## only CPython's own asyncio suite, on our loop, Task and Future
	$(call say,CPython's asyncio suite on $$($(PY) --version))
	@$(PY) -m tests.conformance --impl aioxide $(CONFORMANCE_ARGS)
	$(call say,what install() replaces on asyncio's own loop)
	@$(PY) -m tests.conformance --impl aioxide-on-asyncio $(addprefix --module ,$(INSTALLED))

downstream: $(STAMPS)/extension ## other projects' own tests on asyncio and aioxide, about 12 minutes (SUITES="aiohttp anyio")
	@mkdir -p $(RECORDS)
	@$(PY) -m tests.downstream --json $(RECORDS)/downstream-$(MINOR).json $(SUITES)

test-pythons: $(STAMPS)/venv ## Python tests and CPython's suite on the other Pythons found here (PYTHONS="3.13 3.14")
	@mine=$$($(PY) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	$(PY) scripts/pythons.py --except "$$mine" --only "$(PYTHONS)" > $(STAMPS)/pythons; \
	echo "aioxide: other Pythons:" $$(cut -d ' ' -f 1 $(STAMPS)/pythons); \
	failed=; \
	while read -r minor path <&3; do \
		$(MAKE) --no-print-directory test-python conformance PYTHON="$$path" \
			VENV="$(VENV)-$$minor" CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)/py$$minor" \
			TEST_EXTRAS="demo examples" BENCHMARK_TESTS= \
			PYTEST_ARGS="$(ONCE) $(PYTEST_ARGS)" || failed="$$failed $$minor"; \
	done 3< $(STAMPS)/pythons; \
	[ -z "$$failed" ] || { echo "aioxide: failed on Python$$failed" >&2; exit 1; }

test-checked: ## Python tests on a build with Rust's debug assertions, under -X dev and a checking malloc
	@$(MAKE) --no-print-directory VENV=$(VENV)-checked $(VENV)-checked/.aioxide/checked
	$(call say,Python tests on the checked build)
	@PYTHONMALLOC=debug $(VENV)-checked/bin/python -X dev -m pytest $(ONCE) --ignore=tests/examples \
		--implementation aioxide $(PYTEST_ARGS)

test-all: test test-checked test-pythons ## test, test-checked and test-pythons: all that can be tested here

lint: $(STAMPS)/dev $(STAMPS)/examples $(STAMPS)/docs ## formatting, clippy, ruff, mypy --strict, the rules of tests/source and the docs' links
	@scripts/prerequisites.sh $(PYTHON)
	$(call say,cargo fmt and clippy)
	@cargo fmt --all --check
	@PYO3_PYTHON=$(abspath $(PY)) cargo clippy $(LOCKED) --quiet --workspace --all-targets -- -D warnings
	@cargo fmt --check --manifest-path benchmarks/loadgen/Cargo.toml
	@cargo clippy $(LOCKED) --quiet $(LOADGEN) --all-targets -- -D warnings
	$(call say,ruff and mypy)
	@$(PY) -m ruff check --quiet
	@$(PY) -m ruff format --quiet --diff
	@$(PY) -m mypy
	@MYPYPATH=tests $(PY) -m mypy $(MISUSE) $(BEHAVIOUR_TESTS)
	$(call say,rules of the source and docs)
	@$(PY) -m pytest --quiet --confcutdir=tests/source tests/source
	@$(PY) scripts/check_docs.py

fmt: $(STAMPS)/dev ## format Rust and Python, and apply ruff's safe fixes
	@cargo fmt --all
	@cargo fmt --manifest-path benchmarks/loadgen/Cargo.toml
	@$(PY) -m ruff check --quiet --fix-only
	@$(PY) -m ruff format --quiet

bench: $(STAMPS)/extension $(STAMPS)/bench ## every benchmark beside the other loops, most of an hour (BENCH_ARGS="-g echo")
	@$(PY) benchmarks/suite.py $(BENCH_ARGS)

bench-quick: ## few rows of each, short: a first impression in some minutes, not a record
	@$(MAKE) --no-print-directory bench BENCH_ARGS="--quick $(BENCH_ARGS)"

bench-docs: $(STAMPS)/bench ## write docs/benchmarks.md and its charts from benchmarks/records (BENCH_ARGS=--readme)
	@$(PY) benchmarks/results.py $(BENCH_ARGS)
	@$(PY) scripts/check_docs.py

bench-guard: $(STAMPS)/extension $(STAMPS)/bench ## instructions of hot paths beside the record, needs valgrind (BENCH_ARGS=--record)
	@$(PY) benchmarks/guard.py $(BENCH_ARGS)

bench-examples: $(STAMPS)/extension $(STAMPS)/bench $(STAMPS)/examples ## what the programs of examples/ cost beside asyncio and uvloop
	@$(PY) benchmarks/programs.py $(BENCH_ARGS)

docs: $(STAMPS)/extension $(STAMPS)/demo $(STAMPS)/docs ## build the guide into target/site
	@NO_MKDOCS_2_WARNING=1 $(call logged,$(PY) -m mkdocs build --strict --site-dir $(CARGO_TARGET_DIR)/site)
	$(call say,the guide is $(CARGO_TARGET_DIR)/site/index.html)

compatibility: $(STAMPS)/extension $(STAMPS)/demo ## write docs/compatibility.md of what the tests see, and check the documents' links
	@mkdir -p $(RECORDS)
	$(call say,behaviour tests and CPython's suite on $$($(PY) --version), recorded)
	@AIOXIDE_COMPATIBILITY_RECORD=$(RECORDS)/used.json $(PY) -m pytest --quiet -p no:cacheprovider \
		-p scripts.compatibility_recorder --implementation aioxide tests/core tests/net > $(STAMPS)/log 2>&1 \
		|| tail -n 20 $(STAMPS)/log
	@$(PY) -m tests.conformance --json $(RECORDS)/conformance-$(MINOR).json > $(STAMPS)/log 2>&1 \
		|| tail -n 20 $(STAMPS)/log
	@$(PY) scripts/compatibility.py --records $(RECORDS)
	@$(PY) scripts/check_docs.py

wheel: $(STAMPS)/extension $(STAMPS)/package ## a wheel for $(PYTHON) in target/wheels, its content checked, and installed to try it
	$(call say,building the wheel for $$($(PY) --version))
	@tag=$$($(PY) -c 'import sys; print("cp%d%d" % sys.version_info[:2])'); \
	rm -f $(WHEELS)/aioxide-*-$$tag-*.whl; \
	$(call logged,$(VENV)/bin/maturin build --release $(LOCKED) --interpreter $(PY) --out $(WHEELS) $(WHEEL_ARGS)); \
	$(PY) scripts/check_package.py $(WHEELS)/aioxide-*-$$tag-*.whl; \
	$(PY) scripts/check_install.py $(WHEELS)/aioxide-*-$$tag-*.whl

sdist: $(STAMPS)/dev $(STAMPS)/package ## the source distribution in target/wheels, its content checked
	$(call say,making the source distribution)
	@rm -f $(WHEELS)/aioxide-*.tar.gz
	@$(call logged,$(VENV)/bin/maturin sdist --out $(WHEELS))
	@$(PY) scripts/check_package.py $(WHEELS)/aioxide-*.tar.gz

test-package: sdist ## build and install from the source distribution, as pip does, and try what it gives
	$(call say,installing the source distribution: this builds everything and takes some minutes)
	@CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/sdist $(PY) scripts/check_install.py $(WHEELS)/aioxide-*.tar.gz

clean: ## remove what make has made, and nothing else
	@for venv in $(VENV) $(VENV)-checked $(VENV)-3.*; do \
		if [ -e "$$venv/.made-by-make" ]; then rm -rf -- "$$venv"; fi; \
	done
	@if [ -e target/CACHEDIR.TAG ]; then rm -rf target; fi
	@rm -rf python/aioxide/_aioxide.*.so .mypy_cache .ruff_cache .pytest_cache
	@find python scripts tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment -----------------------------------------------------------------------------
# $(STAMPS)/venv       $(VENV) was made by this file, of $(PYTHON)
# $(STAMPS)/EXTRA      what that extra of pyproject.toml asks for is installed
# $(STAMPS)/extension  the path of the extension that was built and installed
# $(STAMPS)/checked    the same with Rust's debug assertions, as a wheel: it does not touch python/

FORCE:

# The interpreter may have been removed under an environment, and the extension by `git clean`.
# An environment that somebody else made is used, and left alone by `make clean`.
$(STAMPS)/venv: $(if $(wildcard $(PY)),,FORCE)
	@scripts/prerequisites.sh $(PYTHON)
	@if [ ! -x $(PY) ]; then \
		echo "aioxide: making $(VENV) with $$($(PYTHON) --version)"; \
		if [ -e $(VENV)/pyvenv.cfg ]; then rm -rf -- $(VENV); fi; \
		$(PYTHON) -m venv $(VENV); \
		touch $(VENV)/.made-by-make; \
	fi
	@mkdir -p $(STAMPS)
	@touch $@

EXTRAS := $(addprefix $(STAMPS)/,dev demo bench docs examples programs package)

$(EXTRAS:=.txt): $(STAMPS)/%.txt: pyproject.toml scripts/extras.py $(STAMPS)/venv
	@$(PY) scripts/extras.py $* > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(EXTRAS): $(STAMPS)/%: $(STAMPS)/%.txt
	$(call say,installing what the extra '$*' asks for)
	@$(PY) -m pip install --quiet -r $<
	@touch $@

$(STAMPS)/extension: $(RUST_SOURCES) pyproject.toml $(STAMPS)/dev \
		$(if $(wildcard $(shell cat $(STAMPS)/extension 2> /dev/null)),,FORCE) $(if $(COPIED),FORCE)
	@scripts/prerequisites.sh $(PYTHON)
	$(call say,building the extension for $$($(PY) --version); the first time takes some minutes)
	@VIRTUAL_ENV=$(abspath $(VENV)) $(call logged,$(VENV)/bin/maturin develop --release $(LOCKED))
	@$(PY) -c 'import aioxide._aioxide as built; print(built.__file__)' > $@

$(STAMPS)/checked: $(RUST_SOURCES) $(shell find python -name '*.py*' -not -name '*.pyc') \
		pyproject.toml $(STAMPS)/dev
	$(call say,building the extension with debug assertions for $$($(PY) --version))
	@rm -rf $(STAMPS)/wheel
	@$(call logged,$(VENV)/bin/maturin build --profile checked $(LOCKED) --interpreter $(PY) --out $(STAMPS)/wheel)
	@$(PY) -m pip install --quiet --no-deps --force-reinstall $(STAMPS)/wheel/*.whl
	@touch $@

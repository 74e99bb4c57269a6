# make quick    run the tests that need no engine and are not slow, in two minutes; run it first
# make test     set up and run all tests side by side; TESTS selects some, ARGS are passed to pytest. PYTHON=... runs
#               the unit and namespace tests on another interpreter, in a virtual environment of its own. If no Docker
#               engine answers, one is started from Debian packages in .cache/
# make test-newest, make test-musl
#               run the unit and namespace tests on the newest CPython of Debian, and on one that is built with musl
# make machine  run TESTS in a virtual machine that has cgroup v2, systemd and IPVS; machine-keep starts one that
#               make machine uses until Ctrl-C
# make check    run ruff and mypy
# make demo     show zombies without pyinit and none with it; needs only Python and util-linux
# make pages    write docs/options.md, the manual pages and the completions from the tables of options
# make docs     build the documentation as a site in build/site; docs-serve shows it while you write
# make bench    compare pyinit with its peers, and write docs/benchmarks.md; ARGS are passed to the bench
# make soak     test pyinit under faults for MINUTES, and write docs/reliability.md; ARGS are passed to the soak
# make image    build the image "pyinit" on BASE_IMAGE
# make clean    remove the set-up and the caches

PYTHON ?= python3
OTHER := $(findstring command line,$(origin PYTHON))
BASE_IMAGE ?= python:3.13-slim
TESTS ?= tests/unit tests/namespace $(if $(OTHER),,tests/container)
ARGS ?=
MINUTES ?= 15

VENV := .venv$(if $(OTHER),-$(shell $(PYTHON) -c "import sysconfig; print(sysconfig.get_config_var('SOABI'))"))
RUN := $(VENV)/bin/python
FEW := $(VENV)/.few
READY := $(VENV)/.ready
ENGINE := $(RUN) -m testing.engine -- $(RUN) -m testing.base_images --
PYTEST := $(RUN) -m pytest -n auto --dist loadfile --no-loadscope-reorder
COVERAGE := $(if $(OTHER),,--coverage)

test: $(READY)
	@$(RUN) -m testing.duration 10 -- $(MAKE) --no-print-directory tests TESTS="$(TESTS)" ARGS="$(ARGS)"

tests:
	@$(if $(filter tests/container% tests/machine%,$(TESTS)),$(ENGINE)) $(PYTEST) $(COVERAGE) $(TESTS) $(ARGS)

test-newest:
	@$(PYTHON) -m testing.newest make --no-print-directory test PYTHON=python3

test-musl:
	@python=$$($(PYTHON) -m testing.musl) && $(MAKE) --no-print-directory test PYTHON=$$python

quick: $(READY)
	@$(RUN) -m testing.duration 2 -- $(PYTEST) --quick tests/namespace tests/unit $(ARGS)

# What the kernel decides.
machine: TESTS = tests/machine $(addprefix tests/container/test_,report.py compose.py image.py docker_init.py kubernetes.py)
machine: $(READY)
	@$(RUN) -m testing.machine TESTS="$(TESTS)" ARGS="$(ARGS)"

machine-keep: $(READY)
	@$(RUN) -m testing.machine --keep

check: $(FEW)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

demo:
	@$(PYTHON) examples/demo.py

bench: $(READY)
	@$(ENGINE) $(RUN) -m bench $(ARGS)

soak: $(READY)
	@$(ENGINE) $(RUN) -m soak --minutes $(MINUTES) --page $(ARGS)

pages: $(READY)
	@$(RUN) -m pages

docs: $(READY)
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

docs-serve: $(READY)
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs serve

image:
	docker build --build-arg BASE_IMAGE=$(BASE_IMAGE) --tag pyinit .

clean:
	rm -rf .venv .venv-* .cache build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(FEW): requirements-dev.txt testing/environment.py
	@$(PYTHON) -m testing.environment $(VENV) $<
	@touch $@

$(READY): requirements-test.txt $(FEW)
	@$(PYTHON) -m testing.environment $(VENV) $<
	@touch $@

.PHONY: test tests test-newest test-musl quick machine machine-keep check demo bench soak image clean pages docs docs-serve

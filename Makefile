# make test     all tests, with their set-up; ARGS go to pytest, TESTS narrows what is run
# make check    ruff and mypy
# make demo     zombies with and without pyinit, side by side; needs only Python and util-linux
# make bench    pyinit beside its peers, written to docs/benchmarks.md; ARGS go to the bench
# make soak     pyinit under faults of all kinds, for MINUTES; ARGS go to the soak
# make image    the image "pyinit", on BASE_IMAGE
# make clean    forget the set-up

PYTHON ?= python3
BASE_IMAGE ?= python:3.13-slim
TESTS ?= tests/unit tests/namespace tests/container
ARGS ?=
MINUTES ?= 15

VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

test: $(READY)
	@$(RUN) -m testing.engine -- $(RUN) -m testing.base_images -- $(RUN) -m pytest $(TESTS) $(ARGS)

check: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

demo:
	@$(PYTHON) examples/demo.py

bench: $(READY)
	@$(RUN) -m testing.engine -- $(RUN) -m testing.base_images -- $(RUN) -m bench $(ARGS)

soak: $(READY)
	@$(RUN) -m testing.engine -- $(RUN) -m testing.base_images -- $(RUN) -m soak --minutes $(MINUTES) --page $(ARGS)

image:
	docker build --build-arg BASE_IMAGE=$(BASE_IMAGE) --tag pyinit .

clean:
	rm -rf $(VENV) .cache build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): requirements-dev.txt testing/environment.py
	@$(PYTHON) -m testing.environment $(VENV)
	@touch $@

.PHONY: test check demo bench soak image clean

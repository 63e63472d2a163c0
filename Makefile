# Two commands do everything: `make demo` and `make test`. Both create the environment first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/

FOR ?=
# Wheels with the libraries of older builds that data/builds.toml has rows of.
OLDER := 2026.4.8929 2026.7.9873 2026.8.10566 2026.9.11063

.PHONY: demo test web check site certify track fuzz lint types bench clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN)python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(RUN)python -m pip install --quiet --disable-pip-version-check --editable . --group dev --group docs
	touch $@

demo: $(VENV)/installed
	$(RUN)omniplan plan DeepSeek-R1-Q4_K_M --machine omni-nps1 --ctx 32768

test: $(VENV)/installed
	$(RUN)python -m pytest -n auto --dist worksteal

# What reports and the page are drawn with: types from our schemas, then bundles under omniplan/web, which wheels carry.
web: $(VENV)/installed web/node_modules/installed
	cd web && export PYTHON=$(CURDIR)/$(RUN)python && for step in generate types report page; do npm run --silent $$step || exit; done

web/node_modules/installed: web/package-lock.json
	cd web && npm ci --silent
	touch $@

lint: $(VENV)/installed
	$(RUN)ruff check .
	$(RUN)ruff format --check .

types: $(VENV)/installed
	$(RUN)mypy

check: lint types test

# The pages of docs/ as a site that needs no server and no network: site/index.html. Beside it the planner, if it is built.
site: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(RUN)python -m mkdocs build --quiet
	! test -d omniplan/web/page || cp -r omniplan/web/page site/planner

bench: $(VENV)/installed
	for name in header plan gpus simulate size; do $(RUN)python -m benchmarks.$$name; done

# The oracle's sample priced again by llama.cpp itself; minutes, so it is no part of `make test`.
certify: $(VENV)/installed
	$(RUN)python -m tests.oracle.drift
	$(RUN)python -m tests.oracle.adapters
	for version in $(OLDER); do $(RUN)python -m tests.oracle.track "xllamacpp==$$version" --figures; done

# Another build: LIBRARY is the file of a wheel, name==version of one, or a folder of libllama and libggml.
track: $(VENV)/installed
	$(RUN)python -m tests.oracle.track "$(LIBRARY)"

# Fresh draws for every property test, over and over: until one fails, until it is stopped, or FOR=10m.
fuzz: $(VENV)/installed
	$(RUN)python -m tests.fuzz "$(FOR)" -n auto tests

clean:
	rm -rf $(VENV)

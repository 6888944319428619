# Two commands on a fresh machine: make demo, make test. Everything lands in .venv and .lethe.
PY ?= python3
VENV := .venv
AUDIT := .venv-audit
LOCKS := deploy/locks

.PHONY: demo test check bench bench-ads bench-deletion bench-rights lock setup chaos chaos-nightly mutation sbom audit bench-load soak

setup: $(VENV)/ready

$(VENV)/ready: $(LOCKS)/installer.txt $(LOCKS)/dev.txt pyproject.toml
	$(PY) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --require-hashes -r $(LOCKS)/installer.txt
	$(VENV)/bin/uv pip sync --quiet --python $(VENV)/bin/python --require-hashes $(LOCKS)/dev.txt
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(VENV)/bin/lethe demo

# Three at a time on two cores: each waits for its engines a quarter of its time.
PYTEST := $(VENV)/bin/pytest -n 3 --dist worksteal

test: check
	$(PYTEST)
	rm -rf $(CI) && mkdir -p $(CI)
	LETHE_CHAOS_RESULTS=$(CI)/tests.jsonl $(ON_KAFKA) "broker or chaos"
	$(RIG)

mutation: setup
	$(VENV)/bin/python -m tests.mutation

# What breaks things on purpose: tests that kill at named points, and the rig. Each has rows of one
# table. SEED repeats a run; the nightly one goes on where it was (5: no test is left to run).
SEED ?= 20261124
CI := .lethe/chaos/ci
NIGHT := .lethe/chaos/$(SEED)
ON_KAFKA := LETHE_TEST_BROKER=kafka LETHE_CHAOS_SEED=$(SEED) $(PYTEST) tests/integration tests/fuzz tests/docs -m
define RIG
	$(VENV)/bin/python -m tests.chaos run --plan ci --seed $(SEED) --results $(CI)/rig.jsonl
	$(VENV)/bin/python -m tests.chaos table $(CI)/*.jsonl
endef

chaos: setup
	rm -rf $(CI) && mkdir -p $(CI)
	LETHE_CHAOS_RESULTS=$(CI)/tests.jsonl $(ON_KAFKA) chaos
	$(RIG)

chaos-nightly: setup
	mkdir -p $(NIGHT)
	LETHE_CHAOS_RESULTS=$(NIGHT)/tests.jsonl LETHE_CHAOS_TIMES=25 $(ON_KAFKA) chaos || test $$? -eq 5
	$(VENV)/bin/python -m tests.chaos run --plan nightly --seed $(SEED) --minutes 12 --results $(NIGHT)/rig.jsonl
	$(VENV)/bin/python -m tests.fuzz --count 200000 --seed $(SEED) --resume --results $(NIGHT)/fuzz.jsonl
	$(VENV)/bin/python -m tests.chaos table $(NIGHT)/*.jsonl

check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: setup
	$(VENV)/bin/python -m bench

bench-ads: setup
	$(VENV)/bin/python -m bench.ads

bench-deletion: setup
	$(VENV)/bin/python -m bench.deletion

bench-rights: setup
	$(VENV)/bin/python -m bench.rights

bench-load: setup
	$(VENV)/bin/python -m bench.load

soak: setup
	$(VENV)/bin/python -m bench.load.soak

$(AUDIT)/ready: $(LOCKS)/audit.txt $(VENV)/ready
	$(PY) -m venv $(AUDIT)
	$(VENV)/bin/uv pip sync --quiet --python $(AUDIT)/bin/python --require-hashes $(LOCKS)/audit.txt
	touch $@

# What an installation is made of (CycloneDX), with the hashes that it was locked to.
sbom: $(AUDIT)/ready
	mkdir -p dist
	$(AUDIT)/bin/cyclonedx-py requirements $(LOCKS)/pipeline.txt --pyproject pyproject.toml --output-reproducible --of JSON -o dist/lethe.cdx.json

# Asks for known vulnerabilities of everything that is locked; so it is no part of make test. Strict:
# what could not be asked about is no good news.
audit: $(AUDIT)/ready
	$(AUDIT)/bin/pip-audit --strict --require-hashes --disable-pip -r $(LOCKS)/pipeline.txt
	$(AUDIT)/bin/pip-audit --strict --require-hashes --disable-pip -r $(LOCKS)/dev.txt

lock:
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --all-extras --group dev pyproject.toml deploy/locks/build.in -o $(LOCKS)/dev.txt
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --extra pipeline pyproject.toml deploy/locks/build.in -o $(LOCKS)/pipeline.txt
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate pyproject.toml -o $(LOCKS)/sdk.txt
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 deploy/locks/audit.in -o $(LOCKS)/audit.txt

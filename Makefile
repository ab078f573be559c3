# `make demo` and `make test` do all their own set-up; they need Python 3.11 and nothing else.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo
CLIENTS := runs/clients
# Every file that is installed has its sha256 in a lock (requirements*.txt). Two packages are published as source only; they
# are built with what requirements-pip.txt installed before, since pip would fetch tools for it that no lock lists.
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes \
	--only-binary :all: --no-binary promise,seqeval --no-build-isolation
# A lock comes after the locks that its .in file names with -c.
LOCKS := requirements.txt requirements-pip.txt requirements-onnx.txt requirements-beam.txt requirements-clients-mediapipe.txt \
	requirements-clients-readers.txt requirements-audit.txt
TOOLS := .venv-audit

.PHONY: demo test test-slow test-clients test-beam lint setup setup-beam lock audit clean

demo: $(READY)          ## sample scenes, a short training of the recurrent model, its evaluation, pictures, export
	$(BIN)/python train.py --model=rnn --dataset=scenes --iters=6 --workdir=$(DEMO)
	$(BIN)/python evaluate.py --model=$(DEMO) --split=test --iters=10
	$(BIN)/python export.py --model=$(DEMO) --output_dir=runs/exports --overwrite
	@echo "Look at $(DEMO)/report/strip.png and $(DEMO)/report/curve.png; serve or ship what is in runs/exports/demo"

test: $(READY)          ## the test suite, without the slow ones
	$(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder

test-slow: $(READY)     ## the tests at real sizes or on real data
	$(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder -m slow

test-clients: $(READY) .venv-mediapipe/.ready .venv-readers/.ready   ## other programs run what is exported
	$(BIN)/python $(INSTALL) -r requirements-onnx.txt
	rm -rf $(CLIENTS)
	$(BIN)/python -W ignore -m tests.clients.artifacts $(CLIENTS)
	.venv-mediapipe/bin/python tests/clients/mediapipe_client.py $(CLIENTS)
	.venv-readers/bin/python tests/clients/readers_client.py $(CLIENTS)

test-beam: .venv-beam/.ready   ## conversion and bulk jobs on a runner of Apache Beam
	.venv-beam/bin/python -m pytest -m "slow or not slow" tests/beam

.venv-beam/.ready: requirements-beam.txt requirements-pip.txt
	$(PYTHON) -m venv .venv-beam
	.venv-beam/bin/python $(INSTALL) -r requirements-pip.txt
	.venv-beam/bin/python $(INSTALL) -r requirements-beam.txt
	@touch $@

.venv-%/.ready: requirements-clients-%.txt requirements-pip.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python $(INSTALL) -r requirements-pip.txt
	.venv-$*/bin/python $(INSTALL) -r $<
	@touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lock: $(TOOLS)/.ready   ## the locks again, after a change of requirements*.in; pins that still fit stay
	for lock in $(LOCKS); do \
		$(TOOLS)/bin/uv pip compile --no-config --quiet --generate-hashes --custom-compile-command "make lock" \
			--python-version 3.11 --python-platform x86_64-manylinux_2_28 \
			--output-file $$lock $${lock%.txt}.in || exit 1; \
	done

audit: $(TOOLS)/.ready  ## published advisories about the locks, beyond those that SECURITY.md explains
	@$(TOOLS)/bin/python .ci/audit.py $(LOCKS)

$(TOOLS)/.ready: requirements-audit.txt requirements-pip.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python $(INSTALL) -r requirements-pip.txt
	$(TOOLS)/bin/python $(INSTALL) -r requirements-audit.txt
	@touch $@

setup: $(READY)

setup-beam: .venv-beam/.ready

$(READY): requirements.txt requirements-pip.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -r requirements-pip.txt
	$(BIN)/python $(INSTALL) -r requirements.txt
	$(BIN)/python -m pip check
	@touch $(READY)

clean:
	rm -rf $(VENV) .venv-mediapipe .venv-readers .venv-beam $(TOOLS) runs .pytest_cache .ruff_cache

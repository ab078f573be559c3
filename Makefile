# `make demo` and `make test` do all their own set-up; they need Python 3.11, 3.12 or 3.13 and nothing else.
PYTHONS := python3.11 python3.12 python3.13
# The first of them that runs: a name may be on the path without a Python behind it.
PYTHON ?= $(firstword $(foreach name,$(PYTHONS),$(shell $(name) -c 'print("$(name)")' 2>/dev/null)))
VERSION = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# Each Python with the lock of its stack: TensorFlow 2.15 with Keras 2, or 2.20 with Keras 2 as tf-keras.
STACK_3.11 := requirements
STACK_3.12 := requirements-tf220
STACK_3.13 := requirements-tf220
STACK = $(STACK_$(VERSION))
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
	requirements-clients-readers.txt requirements-clients-triton.txt requirements-audit.txt requirements-gpu.txt \
	requirements-tf220.txt requirements-tf220-gpu.txt
TOOLS := .venv-audit
CLIENT_PYTHON = $(PYTHON)
# Triton runs Python through its shared library, and the lock has a NumPy for these two.
SHARED := import ensurepip, os, sysconfig as s; place = os.path.join(*map(s.get_config_var, ("LIBDIR", "INSTSONAME")))
TRITON_PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 /usr/bin/python3.11 /usr/bin/python3.12,$(shell \
	$(name) -c '$(SHARED); ".so" in place and os.path.isfile(place) and print("$(name)")' 2>/dev/null)))

.PHONY: demo test test-slow test-stacks test-clients test-beam lint lint-docker setup setup-beam lock audit clean

demo: $(READY)          ## sample scenes, a short training of the recurrent model, its evaluation, pictures, export
	$(BIN)/python train.py --model=rnn --dataset=scenes --iters=6 --workdir=$(DEMO)
	$(BIN)/python evaluate.py --model=$(DEMO) --split=test --iters=10
	$(BIN)/python export.py --model=$(DEMO) --output_dir=runs/exports --overwrite
	@echo "Look at $(DEMO)/report/strip.png and $(DEMO)/report/curve.png; serve or ship what is in runs/exports/demo"

test: $(READY)          ## the test suite, without the slow ones
	$(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder

test-slow: $(READY)     ## the tests at real sizes or on real data
	$(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder -m slow

test-stacks:            ## the test suite on every Python that is here, each with a virtual environment of its own
	@for name in $(PYTHONS); do \
		if $$name -c '' 2>/dev/null; then \
			echo "$$name:"; $(MAKE) --no-print-directory test PYTHON=$$name VENV=.venv-$$name || exit 1; \
		else echo "$$name: not here, not tested"; fi; \
	done

test-clients: $(READY) .venv-mediapipe/.ready .venv-readers/.ready .venv-triton/.ready   ## other programs run what is exported
	$(BIN)/python $(INSTALL) -r requirements-onnx.txt
	rm -rf $(CLIENTS)
	$(BIN)/python -W ignore -m tests.clients.artifacts $(CLIENTS)
	.venv-mediapipe/bin/python tests/clients/mediapipe_client.py $(CLIENTS)
	.venv-readers/bin/python tests/clients/readers_client.py $(CLIENTS)
	.venv-triton/bin/python -W ignore -m tests.clients.triton_client $(CLIENTS)

test-beam: .venv-beam/.ready   ## conversion and bulk jobs on a runner of Apache Beam
	.venv-beam/bin/python -m pytest -m "slow or not slow" tests/beam

.venv-beam/.ready: requirements-beam.txt requirements-pip.txt
	$(PYTHON) -m venv .venv-beam
	.venv-beam/bin/python $(INSTALL) -r requirements-pip.txt
	.venv-beam/bin/python $(INSTALL) -r requirements-beam.txt
	@touch $@

.venv-triton/.ready: CLIENT_PYTHON = $(TRITON_PYTHON)

.venv-%/.ready: requirements-clients-%.txt requirements-pip.txt
	@test -n "$(CLIENT_PYTHON)" || { echo "Triton needs Python 3.11 or 3.12 with its shared library: on Debian or Ubuntu" \
		"apt-get install python3-venv libpython3-dev, or set TRITON_PYTHON=/path/to/python3.11"; exit 2; }
	$(CLIENT_PYTHON) -m venv .venv-$*
	.venv-$*/bin/python $(INSTALL) -r requirements-pip.txt
	.venv-$*/bin/python $(INSTALL) -r $<
	@touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-docker: $(TOOLS)/.ready
	$(TOOLS)/bin/hadolint Dockerfile

lock: $(TOOLS)/.ready   ## the locks again, after a change of requirements*.in; pins that still fit stay
	for lock in $(LOCKS); do \
		$(TOOLS)/bin/uv pip compile --no-config --quiet --generate-hashes --custom-compile-command "make lock" \
			--python-version $$(case $$lock in (*tf220*) echo 3.12;; (*) echo 3.11;; esac) \
			--python-platform x86_64-manylinux_2_$$(case $$lock in (*triton*) echo 35;; (*) echo 28;; esac) \
			--output-file $$lock $${lock%.txt}.in || exit 1; \
	done

audit: $(TOOLS)/.ready  ## published advisories about the locks, beyond those that SECURITY.md explains
	@$(TOOLS)/bin/python .ci/audit.py $(LOCKS)

$(TOOLS)/.ready: requirements-audit.txt requirements-pip.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python $(INSTALL) -r requirements-pip.txt
	$(TOOLS)/bin/python $(INSTALL) -r requirements-audit.txt
	@touch $@

setup: $(READY) $(if $(GPU),$(VENV)/.ready-gpu)   ## a virtual environment; GPU=1 with TensorFlow's CUDA libraries

setup-beam: .venv-beam/.ready

$(VENV)/.ready-gpu: $(READY) requirements-gpu.txt requirements-tf220-gpu.txt
	$(BIN)/python $(INSTALL) -r $(STACK)-gpu.txt
	$(BIN)/python -m pip check
	@touch $@

$(READY): requirements.txt requirements-tf220.txt requirements-pip.txt
	@test -n "$(STACK)" || { echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -r requirements-pip.txt
	$(BIN)/python $(INSTALL) -r $(STACK).txt
	$(BIN)/python -m pip check
	@touch $(READY)

clean:
	rm -rf $(VENV) $(PYTHONS:%=.venv-%) .venv-mediapipe .venv-readers .venv-triton .venv-beam $(TOOLS) runs .pytest_cache .ruff_cache

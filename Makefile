# `make demo` and `make test` do all their own set-up; they need Python 3.11 and nothing else.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo
CLIENTS := runs/clients

.PHONY: demo test test-slow test-clients lint setup clean

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
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-onnx.txt
	rm -rf $(CLIENTS)
	$(BIN)/python -W ignore -m tests.clients.artifacts $(CLIENTS)
	.venv-mediapipe/bin/python tests/clients/mediapipe_client.py $(CLIENTS)
	.venv-readers/bin/python tests/clients/readers_client.py $(CLIENTS)

.venv-%/.ready: requirements-clients-%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

setup: $(READY)

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip check
	@touch $(READY)

clean:
	rm -rf $(VENV) .venv-mediapipe .venv-readers runs .pytest_cache .ruff_cache

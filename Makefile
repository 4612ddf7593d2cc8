# make setup   builds .venv from nothing, mmcv's compiled ops included, and verifies it
# make demo    trains Mask R-CNN and UPerNet on real images, evaluates them, leaves pictures
# make demo-pretrain  SimMIM, then classifiers from its weights and from scratch, with few labels and with all
# make test    proves the backbone right and runs the recipes on a handful of real images
# make test-full  also what takes longer
# make test-upstream  runs the tests beside upstream's packages, in a set-up of its own
# make test-faults  puts faults into real runs, and gives 20,000 generated cases to what reads input
# make bench   measures speed and memory beside timm, a few minutes: work_dirs/bench/results.md
# make lint    style and types
#
# Each step of the set-up leaves a stamp that bears the version it installed, so an interrupted
# set-up goes on at the step where it stopped and a finished one costs nothing.

PYTHON ?= python3
TORCH := 2.13.0
TORCHVISION := 0.28.0
MMCV := 2.3.6

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
UPSTREAM := .venv-upstream
PIP := $(BIN)/python -m pip --disable-pip-version-check install

.PHONY: setup demo demo-pretrain test test-full test-faults test-upstream bench lint

setup: $(STAMPS)/verified

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || \
	  { echo "Python 3.10 to 3.13 is needed, $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing): make setup PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@command -v g++ >/dev/null || \
	  { echo "A C++ compiler is needed to build mmcv's ops: install g++ (Debian, Ubuntu: apt install g++)"; exit 1; }
	@$(PYTHON) -c 'import sysconfig; open(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || \
	  { echo "$(PYTHON) has no headers, needed to build mmcv's ops: install them (Debian, Ubuntu: apt install python3-dev)"; exit 1; }
	@echo "== set-up: about 15 minutes the first time, most of it compiling mmcv's ops"
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# The exact match (===) keeps pip from taking a "+cpu" build, beside which torchvision does not import.
$(STAMPS)/torch-$(TORCH)-$(TORCHVISION): $(STAMPS)/venv
	$(PIP) torch===$(TORCH) torchvision==$(TORCHVISION) ninja psutil wheel 'setuptools<82'
	@touch $@

# mmcv comes as source. Built in isolation it would not see torch and silently leave its ops out.
$(STAMPS)/mmcv-$(MMCV): $(STAMPS)/torch-$(TORCH)-$(TORCHVISION)
	@echo "== mmcv: compiling 78 objects, about 13 minutes on 2 cores unless pip has the wheel in its cache"
	MMCV_WITH_OPS=1 $(PIP) --no-build-isolation onedl-mmcv==$(MMCV)
	@touch $@

$(STAMPS)/packages: $(STAMPS)/mmcv-$(MMCV) setup.py mmswinv2/__init__.py
	$(PIP) --no-build-isolation -e '.[onedl,dev]' torch===$(TORCH) torchvision==$(TORCHVISION)
	@touch $@

$(STAMPS)/verified: $(STAMPS)/packages mmswinv2/cli/doctor.py
	$(BIN)/python -m mmswinv2 doctor
	@touch $@

demo: setup
	$(BIN)/python demo/run.py

demo-pretrain: setup
	$(BIN)/python demo/pretrain.py

# A file of tests a process, and each with one thread: two with two threads slow each other down many times.
IN_PARALLEL := -n auto --maxprocesses 4 --dist loadfile

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m 'not full' $(IN_PARALLEL)

test-full: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(IN_PARALLEL)

# Disks, workers, processes, bad losses, signals and locks, each on real runs.
OTHER_FAULTS := tests/cli/test_disk.py tests/cli/test_lost_workers.py tests/cli/test_replay.py tests/cli/test_run_lock.py \
  tests/cli/test_work_dir.py tests/engine/test_finite_loss.py tests/engine/test_finite_loss_tasks.py \
  tests/engine/test_preemption.py tests/engine/test_processes.py

test-faults: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -v $(OTHER_FAULTS)
	$(BIN)/python -m tests.fuzz

# Nothing is compiled: mmcv-lite has mmcv's Python, and a module of the tests takes the place of its binary.
$(UPSTREAM)/verified: tests/upstream/requirements.txt tests/upstream/mmcv_ops.py setup.py
	$(PYTHON) -m venv $(UPSTREAM)
	$(UPSTREAM)/bin/python -m pip --disable-pip-version-check install -r tests/upstream/requirements.txt -e '.[dev]' \
	  torch===$(TORCH) torchvision==$(TORCHVISION)
	cp tests/upstream/mmcv_ops.py "$$($(UPSTREAM)/bin/python -c 'import mmcv; print(mmcv.__path__[0])')/_ext.py"
	$(UPSTREAM)/bin/python -m mmswinv2 doctor
	@touch $@

test-upstream: $(UPSTREAM)/verified
	MMSWINV2_UPSTREAM=1 OMP_NUM_THREADS=1 $(UPSTREAM)/bin/python -m pytest -q -m 'not full' $(IN_PARALLEL)

# Results of another version would be in the way.
bench: setup
	rm -rf work_dirs/bench
	$(BIN)/python tools/benchmark.py --quick --out work_dirs/bench

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

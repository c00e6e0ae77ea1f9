# One experiment in two frameworks. `make help` lists what can be made.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RECIPE ?= mnist_nn_xavier
EPOCHS ?=
SEED ?=
ARGS ?=
OPTIONS = $(RECIPE) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(SEED),--seed $(SEED)) $(ARGS)
# A run that names its own folder looks for the data there, by itself.
DATA = $(if $(findstring --data-dir,$(ARGS)),,data)
CONSTRAINTS ?= constraints.txt
INPUTS := pyproject.toml constraints.txt
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --constraint $(CONSTRAINTS) --editable
PYTEST = $(BIN)/python -m pytest --numprocesses logical --dist worksteal
.DEFAULT_GOAL := help
.PHONY: help train-jax train-torch study explore rbm dbn data test test-slow test-all test-matrix ports power parity \
  notebook bench faults lint clean

# A variable that nothing reads, such as Recipe=mnist_nn_he or study's SEEDS=5, would be ignored without a word.
GOALS := $(or $(MAKECMDGOALS),help)
READ := $(if $(filter train-%,$(GOALS)),RECIPE EPOCHS SEED)
READ += $(if $(filter-out help data lint clean,$(GOALS)),ARGS) PYTHON VENV CONSTRAINTS
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
ifneq ($(filter-out $(READ),$(GIVEN)),)
$(error make $(GOALS) does not read $(filter-out $(READ),$(GIVEN)), only $(strip $(READ)): put options into ARGS, as in \
  make study ARGS="--seeds 5")
endif

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'Variables: ARGS and PYTHON; for train-jax and train-torch also RECIPE, EPOCHS and SEED.'
	@echo 'Examples:  make train-jax RECIPE=mnist_nn_he EPOCHS=3 ARGS="--out runs/x"'
	@echo '           make study ARGS="--inits zeros,xavier_uniform --depths 2,10 --epochs 1"'

train-jax: $(VENV)/.jax $(DATA) ## train in JAX (installs no torch)
	$(BIN)/python -m jax_impl train $(OPTIONS)

train-torch: $(VENV)/.torch $(DATA) ## train in PyTorch, the notebook itself
	$(BIN)/python -m torch_ref train $(OPTIONS)

study: $(VENV)/.jax $(DATA) ## compare initialisers by depth and write reports/study/index.html
	$(BIN)/python -m jax_impl study $(ARGS)

explore: $(VENV)/.dev data ## train 600 steps from every initialiser and write the interactive page reports/explore/index.html
	$(BIN)/python -m jax_impl explore $(ARGS)

rbm: $(VENV)/.jax $(DATA) ## train a restricted Boltzmann machine and draw it
	$(BIN)/python -m jax_impl rbm $(ARGS)

dbn: $(VENV)/.jax $(DATA) ## train a deep belief network, machine by machine, and draw it
	$(BIN)/python -m jax_impl dbn $(ARGS)

data: $(VENV)/.jax ## fetch MNIST unless it is there, and verify it
	@$(BIN)/python -m jax_impl data

test: $(VENV)/.dev data ## run the fast tests: units, quick ladder, planted faults, command lines
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(VENV)/.dev data ## run the slow tests: published results, all faults, processes, devices
	$(PYTEST) -m slow $(ARGS)

test-all: test test-slow ## run all tests

test-matrix: $(VENV)/.dev data ## run the tests as on other processors and with other versions, and write reports/matrix
	$(BIN)/python -m tests.matrix $(ARGS)

ports: $(VENV)/.dev ## try every planted mistake and harmless change, and each cause in two models
	PORTS=all $(PYTEST) -p tests.ports.planted -m "slow or not slow" tests/ports tests/unit/jax_impl/parity/causes $(ARGS)

power: $(VENV)/.dev ## measure what the ladder sees and explains of planted mistakes, and write reports/power/
	$(BIN)/python -m tests.power $(ARGS)

parity: $(VENV)/.dev data ## climb the parity ladder and write reports/parity/index.html
	$(BIN)/python -m tests.parity $(ARGS)

notebook: $(VENV)/.dev data ## execute the guide's notebook and write docs/weight-initialization.ipynb
	$(BIN)/python -m tests.guide notebook $(ARGS)

bench: $(VENV)/.dev data ## time epochs, starts and commands beside torch and others and write reports/bench
	$(BIN)/python -m tests.bench $(ARGS)

faults: $(VENV)/.dev data ## kill, interrupt, damage and starve the commands many times over and write reports/faults.md
	$(BIN)/python -m tests.faults $(ARGS)

lint: $(VENV)/.dev ## check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean: ## remove the environment and the caches; data and runs stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
	find jax_impl torch_ref tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment grows by stamps, each made again only when what it was made of has changed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null || echo missing):" \
	       "install it, or name one with make PYTHON=/path/to/python3" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "error: $(PYTHON) -m venv failed: install your system's venv package (on Debian, python3-venv)" >&2; exit 1; }

$(VENV)/.jax: $(INPUTS) | $(BIN)/python
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip  # a bootstrap that was cut short
	$(PIP_INSTALL) '.[jax]'
	@touch $@

$(VENV)/.torch: $(INPUTS) | $(VENV)/.jax
	$(PIP_INSTALL) '.[jax,torch]'
	@touch $@

$(VENV)/.dev: $(INPUTS) | $(VENV)/.torch
	$(PIP_INSTALL) '.[jax,torch,ports,explore,dev]'
	@touch $@

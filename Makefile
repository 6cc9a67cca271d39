# `make train` and `make test` work from a fresh clone; `make help` lists the rest.

PRESET ?= tabletop_ttrl
ARGS ?=

# The first interpreter that runs and is supported: a pyenv shim can exist and yet not run.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.10 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& command -v $$python && break; done)

# torch is installed first and by itself, so that no other package chooses a larger build of it.
# With a GPU: make train TORCH=torch==2.13.0+cu130
TORCH ?= torch==2.13.0

# Installed without their dependencies, which would bring torchvision, wandb and an OpenCV that needs a
# display. What they really import is in the extras `libero` and `robotwin`.
SIMULATORS := hf-libero==0.1.4 robosuite==1.4.0 bddl==1.0.1 sapien==3.0.3

BIN := .venv/bin
STAMP := .venv/installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call apt,package,purpose): install a system package as root, else say what to install.
apt = { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; } || \
	echo "Missing: $(1), $(2). Install it with: sudo apt-get install $(1)"

.PHONY: help setup train test fuzz lint format docs vulkan clean
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /make \1 \t/p' Makefile | expand -t 14

setup: $(STAMP) ## Create .venv and install everything, again only after a change of the pins

train: $(STAMP) ## Train a preset: PRESET=libero_ttrl ARGS="--ttrl.n-votes-per-prompt 5"
	$(BIN)/vla train $(PRESET) $(ARGS)

# A slip of style fails the run at its end, so that it does not hide what the tests say. Three processes for two cores: many
# tests wait for processes of Ray.
test: $(STAMP) ## Lint and run all tests: ARGS="-k wrappers" selects some
	@$(MAKE) --no-print-directory lint; lint=$$?; \
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS) && exit $$lint

fuzz: $(STAMP) ## Try 10,000 wrong calls and 2,000 damaged files: ARGS="--only calls:17" one of them
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(STAMP) ## Check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(STAMP) ## Mend style and format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(STAMP) ## Build the documentation site into build/site; warnings fail
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# RoboTwin's renderer needs Mesa 25. Beside the system's own Mesa it changes nothing that LIBERO draws.
MESA := .venv/mesa
APT := apt-get -o Dir::Etc::sourcelist=$(CURDIR)/$(MESA)/sources.list -o Dir::Etc::sourceparts=- \
	-o Dir::State::lists=$(CURDIR)/$(MESA)/lists -o Dir::Cache=$(CURDIR)/$(MESA)/cache

vulkan: $(STAMP) ## Unpack software Vulkan for RoboTwin (Debian 12, from backports) into .venv/mesa
	@$(call apt,mesa-vulkan-drivers,whose libraries a newer Mesa needs too)
	mkdir -p $(MESA)/lists/partial $(MESA)/cache/archives/partial
	echo "deb $$(apt-get indextargets --format '$$(SITE) $$(RELEASE)' | sed -n 's/ bookworm$$//p' | head -1)" \
		"bookworm-backports main" > $(MESA)/sources.list
	$(APT) update -qq
	cd $(MESA) && $(APT) download -qq mesa-vulkan-drivers libdrm2 libdrm-amdgpu1
	for package in $(MESA)/*.deb; do dpkg -x $$package $(MESA); done
	printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.4.305"}}' \
		"$$(find $(CURDIR)/$(MESA) -name libvulkan_lvp.so)" > $(MESA)/icd.json
	@echo "Now: export VK_ICD_FILENAMES=$(CURDIR)/$(MESA)/icd.json"

clean: ## Remove .venv and caches, never runs/
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml constraints.txt Makefile
	@test -n "$(PYTHON)" || { echo "No Python 3.10, 3.11 or 3.12 found. Install one, or name it: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(call apt,$(notdir $(PYTHON))-venv,which makes virtual environments)
	@$(PYTHON) -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("OSMesa"))' || \
		$(call apt,libosmesa6,with which LIBERO draws without a display)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt "$(TORCH)"
	$(BIN)/pip install -c constraints.txt -e '.[libero,robotwin,rllib,adam8bit,record,examples,dev]'
	$(BIN)/pip install --no-deps --use-pep517 $(SIMULATORS)
	@touch $@

# A TORCH that was asked for is installed even where the stamp is fresh.
ifneq ($(origin TORCH),file)
.PHONY: $(STAMP)
endif

# make report    environments, then the evaluation report    CONFIG=my.yaml  a configuration that overrides the default
# make test      environments, then all checks and tests      SLURM=no  leaves out those on a real Slurm
#                                                     BROWSER=no  leaves out those in a real browser
# PYTHON=...     a Python 3.11                        PIP_OPTIONS='...'       more arguments for pip, e.g. another index
# make soak      kill runs KILLS=100 times and compare with undisturbed ones, and fill disks at FULL=30 moments of
#                runs; SEED=... repeats a sequence
PYTHON ?= python3.11
CONFIG ?=
PIP_OPTIONS ?=
# modules of another Python would come before those of the locked environments, or the project's would not be found
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH PYTHONWARNINGS PYTHONHASHSEED PYTHONOPTIMIZE PYTHONDEVMODE PYTHONINSPECT
INSTALL = $(PYTHON) -m tapeout.graph.identity.environment --pip "$(PIP_OPTIONS)"
# the folder of an environment, asked for once
FOLDER = $(or $(FOLDER_$(1)),$(eval FOLDER_$(1) := $$(call PRINTED,$(1)))$(FOLDER_$(1)))
PRINTED = $(shell env -u PYTHONPATH -u PYTHONHOME -u PYTHONSAFEPATH -u PYTHONHASHSEED $(PYTHON) -m tapeout.graph.identity.environment --print-folder $(1))
SNAKEMAKE = $(PYTHON) -I -S bin/snakemake
DEV = $(call FOLDER,dev)/bin/python -m
# any characters of a name reach Snakemake; the shell expands a leading ~
CONFIGFILE = $(if $(value CONFIG),--configfile $(if $(filter ~%,$(CONFIG)),$(CONFIG),'$(subst ','\'',$(value CONFIG))'))

.PHONY: report plan shell dev environments test check test-dev test-data test-corpus test-rtl test-serve test-tracking test-lm-eval test-browser test-nemo test-end test-end-finished test-end-others test-families test-shared-data test-slurm soak lock schema picture screenshots format clean

report: CHECK =
report: environments
	@$(SNAKEMAKE) eval_report eval_gates $(CONFIGFILE)
	@echo "The report: $$PWD/results/eval_report/report.html"
	@echo "The data:   $$PWD/results/data_report/report.html"

plan:
	@$(INSTALL) workflow
	@$(SNAKEMAKE) eval_report --dry-run $(CONFIGFILE)

# Installed environments are compared with the listings of their installation; a run does that itself, if steps run.
CHECK = --check

# Steps write no bytecode, so without this each would compile what it imports; it may fail where the folder is read-only.
# ADD=nemo-cuda  also installs the environment of training runs on GPUs without a container
environments:
	@$(INSTALL) $(CHECK) workflow data corpus nemo serve rtl $(ADD)
	@$(PYTHON) -m compileall -q tapeout || :

# The tests on Slurm mostly wait, so other parts run beside them, with lower priority: a job on the cluster never waits
# for a core. The longest parts start first; they have no prerequisites here, because these would change the order.
PARTS = $(if $(filter no,$(SLURM)),,test-slurm) test-end-others test-dev test-nemo test-end-finished check test-serve test-lm-eval test-data test-rtl test-tracking test-corpus $(if $(filter no,$(BROWSER)),,test-browser)

# environments are installed two at a time, because pip uses one core; the largest ones first
test:
	@$(MAKE) --no-print-directory -j 2 $(addprefix install-,nemo dev serve workflow data corpus rtl peft)
	@$(PYTHON) -m compileall -q tapeout || :
	@echo "The checks and tests run in parts, four at a time; each part prints its output when it ends."
	@$(MAKE) --no-print-directory --keep-going --output-sync -j 4 READY=yes NICE='nice -n 10' $(PARTS)

install-%:
	@$(INSTALL) $(CHECK) $*

dev:
	@$(INSTALL) $(CHECK) dev peft

check: $(if $(READY),,dev)
	$(DEV) ruff check .
	$(DEV) ruff format --check .
	$(DEV) snakefmt --check Snakefile rules tests/graph/project tests/slurm/project benchmarks/shards_project
	$(DEV) mypy
	$(PYTHON) docs/picture.py --check
	$(DEV) snakemake --lint

# each environment runs the test files that name it (tests/conftest.py); a worker keeps the tests of a file together, which
# share fixtures, until the other one has none left
test-dev: $(if $(READY),,dev environments)
	$(NICE) $(DEV) pytest -q -n 2 --dist worksteal -m "not slurm and not end_to_end and not families and not shared_data" tests

test-data: $(if $(READY),,environments)
	$(NICE) $(call FOLDER,data)/bin/python -m pytest -q tests

test-corpus: $(if $(READY),,environments)
	$(NICE) $(call FOLDER,corpus)/bin/python -m pytest -q tests

test-rtl: $(if $(READY),,environments)
	$(NICE) $(call FOLDER,rtl)/bin/python -m pytest -q tests

test-serve: $(if $(READY),,environments)
	$(NICE) $(call FOLDER,serve)/bin/python -m pytest -q tests

# installs the trackers' environment, which nothing else needs
test-tracking:
	@$(INSTALL) tracking
	$(NICE) $(call FOLDER,tracking)/bin/python -m pytest -q tests

# installs the environment of the task lm_eval, which the default configuration does not need
test-lm-eval:
	@$(INSTALL) lm_eval
	$(NICE) $(call FOLDER,lm_eval)/bin/python -m pytest -q tests

# the pages in Debian's Chromium, which needs root to be installed; installs the environment that drives it
test-browser:
	@$(PYTHON) -m tests.browser.require
	@$(INSTALL) browser
	$(NICE) $(call FOLDER,browser)/bin/python -m pytest -q tests

test-nemo: $(if $(READY),,dev environments)
	$(NICE) $(call FOLDER,nemo)/bin/python -m pytest -q tests

# in two parts: the tests that share one finished graph, and those with graphs of their own
test-end: test-end-finished test-end-others

FINISHED = tests/end_to_end/test_graph.py tests/end_to_end/test_documented_commands.py

test-end-finished: $(if $(READY),,dev environments)
	$(NICE) $(DEV) pytest -q $(FINISHED)

test-end-others: $(if $(READY),,dev environments)
	$(NICE) $(DEV) pytest -q -m end_to_end $(addprefix --ignore=,$(FINISHED)) tests/end_to_end

# one run of the graph for a tiny model of each other family; not part of make test
test-families: dev environments
	$(DEV) pytest -q -m families tests

# tests with the real rules on open instruction data in the folder TAPEOUT_SHARED_DATA; not part of make test
test-shared-data: dev environments
	$(DEV) pytest -q -m shared_data tests

# tests on a real Slurm cluster on this machine, from Debian packages, which need root to be installed
test-slurm: $(if $(READY),,dev environments)
	@$(PYTHON) -m tests.slurm.require
	$(DEV) pytest -q -n 2 -m slurm tests/slurm

soak: dev
	$(DEV) tests.graph.soak --kills $(or $(KILLS),100) $(if $(SEED),--seed $(SEED))
	$(DEV) tests.graph.full_disk --runs $(or $(FULL),30) $(if $(SEED),--seed $(SEED))

lock: dev
	$(call FOLDER,dev)/bin/python envs/lock.py

schema: dev
	$(call FOLDER,dev)/bin/python -m tapeout.config.schema config/schema.json
	$(call FOLDER,dev)/bin/python -m tapeout.report.evaluation.document docs/eval_report.schema.json

# the pictures in docs/architecture.md, drawn from the code
picture:
	$(PYTHON) docs/picture.py

# the pictures of the evaluation report in docs/screenshots, from PAGE
PAGE ?= results/eval_report/report.html
screenshots:
	@$(PYTHON) -m tests.browser.require
	@$(INSTALL) browser
	$(call FOLDER,browser)/bin/python -m docs.screenshots $(PAGE)

format: dev
	$(DEV) ruff check --fix .
	$(DEV) ruff format .
	$(DEV) snakefmt Snakefile rules tests/graph/project tests/slurm/project benchmarks/shards_project

# delete everything that runs wrote, except the store and edited results that were set aside
clean:
	rm -rf results logs .snakemake
	find work -mindepth 1 -maxdepth 1 ! -name set_aside -exec rm -rf {} + 2>/dev/null || true

# . <(make -s shell) puts the workflow environment on PATH
shell:
	@$(INSTALL) workflow --print-path

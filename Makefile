# Two commands are all there is to know: `make demo` and `make test`. Both install what is missing, build what
# has changed and nothing else, and can be run again at any time. They need root (or sudo) for the lab.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= /usr/bin/python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
# A test lets locust work as it does on the client: in an environment of its own, by the client's list.
LOCUST := $(VENV)/locust
LOCUST_PINS := playbooks/roles/locust/files/requirements.txt
# What lists and audits the dependencies needs packages that the project does not.
SUPPLY := $(VENV)/supply
SUPPLY_PINS := supply/requirements.txt
# A cloud in one process: Nova with what its own functional tests need. Its tests alone use it.
NOVA := $(VENV)/nova
NOVA_PINS := openstack/filter/tests/requirements.txt

# pytest rewrites the assertions of every file of tests, in each of its processes: what it wrote is kept.
unexport PYTHONDONTWRITEBYTECODE

# A file's tests share what it made, so that they stay in one process; the longest files begin (tests/sharing.py).
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations=20

# What the controller itself needs of Debian; the machines of the rig get theirs from the playbooks.
PACKAGES := python3-venv python3-dev gcc pkg-config libvirt-dev openssh-client iproute2 nftables \
            systemd-container mmdebstrap debian-archive-keyring util-linux maven default-jdk-headless
# The tests hold the harness against a TPM's own tools and a software TPM, keep registries in PostgreSQL, compile
# the report, play a mail generator in Perl, encrypt disks, and let strongSwan make tunnels between namespaces; the
# benchmarks compare with `virsh`.
TEST_PACKAGES := swtpm swtpm-tools tpm2-tools python3-tpm2-pytss qemu-utils postgresql perl libvirt-clients \
                 charon-systemd strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins \
                 texlive-latex-base texlive-latex-recommended lmodern

# The Debian systems in which the tests set the project up (tests/setup/containers.py).
FRESH := /var/cache/sodbench/fresh
# Only PostgreSQL's programs are wanted: while this is there, installing them makes no cluster and starts no server.
NO_CLUSTER := /etc/postgresql-common/createcluster.d/sodbench.conf
# Nor is a tunnel of the machine's own: while the mask is there strongSwan's service does not start, and it is not
# enabled afterwards, unless it was there before. Without systemd nothing starts it; its folder in /run must not be
# made there, because packages take it for systemd's word that it runs.
NO_TUNNEL := /run/systemd/system/strongswan.service
ENABLED_TUNNEL := /etc/systemd/system/multi-user.target.wants/strongswan.service

# The code before the faults of tests/regressions.md were mended, and the tests that show them.
REGRESSIONS := 4e0828d 596a973

.PHONY: help
help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

.PHONY: demo
demo: setup ## Build the lab, run campaigns/demo.yml in it, and write the report
	$(BIN)/sodbench lab up
	$(BIN)/sodbench provision
	$(BIN)/sodbench run campaigns/demo.yml
	$(BIN)/sodbench report results/demo
	@echo "The lab is still up: $(BIN)/sodbench lab down takes it away."

.PHONY: test
test: unit audit ## Everything: style, types, unit tests, tests of programs, known weaknesses, and the lab
	$(MAKE) --no-print-directory --jobs=2 programs lab-layers
	$(MAKE) --no-print-directory --jobs=2 in-lab fresh

# The lab's machines and images take minutes that wait for the network and for one core: they are made while the
# tests of programs run. Nothing of the lab stays up but what was; the lab's own tests find what is in its cache.
.PHONY: lab-layers
lab-layers: setup
	$(BIN)/sodbench lab status >/dev/null || { \
	    $(BIN)/sodbench lab up && $(BIN)/sodbench provision && $(BIN)/sodbench lab down; }

.PHONY: in-lab
in-lab: setup
	$(BIN)/python -m pytest -m lab --ignore=tests/setup --durations=20

# They wait for files and compute: of the cores they get what the lab's measurements leave.
.PHONY: fresh
fresh: setup ## Set the project up in new Debian systems, with nothing but the time that other programs leave
	nice -n 19 chrt --idle 0 ionice --class idle $(BIN)/python -m pytest -m lab tests/setup

.PHONY: unit
unit: setup ## Style, types, and the short tests that need neither programs nor machines, on all cores
	$(MAKE) --no-print-directory --jobs=2 lint in-process

.PHONY: in-process
in-process: setup
	$(PYTEST) -m "not programs and not long and not lab"

.PHONY: programs
programs: setup nova ## Tests with software TPMs, PostgreSQL, Ansible, LaTeX and fuzzers of this machine, and long ones
	$(PYTEST) -m "(programs or long) and not lab"

.PHONY: lint
lint: setup ## Style, types, and which room imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: audit
audit: setup ## Look the locked packages up in a database of known vulnerabilities; skipped where it is out of reach
	$(BIN)/python -m supply.audit

.PHONY: sbom
sbom: setup ## Write dist/sodbench.cdx.json: what the lock pins and provisioning installs, in CycloneDX
	$(BIN)/python -m supply.sbom dist/sodbench.cdx.json

.PHONY: artifact
artifact: sbom ## Write dist/sodbench-artifact.zip from results/reference: evidence, claims, verdicts, program (docs/artifact.md)
	rm -f dist/sodbench-*.whl dist/sodbench-artifact.zip
	$(BIN)/python -m uv build --quiet --wheel --no-build-isolation --offline --out-dir dist .
	$(BIN)/sodbench artifact --from results/reference --unsigned

.PHONY: bench
bench: setup ## What the harness itself costs, measured in the lab (benchmarks/README.md)
	$(BIN)/sodbench lab up
	$(BIN)/sodbench provision
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.tls
	$(BIN)/python -m benchmarks.channel
	$(BIN)/python -m benchmarks.bounds
	$(BIN)/python -m benchmarks.channel_bounds
	$(BIN)/python -m benchmarks.reconciliation
	$(BIN)/python -m benchmarks.violation
	$(BIN)/python -m benchmarks.attestation
	$(BIN)/python -m benchmarks.validation
	$(BIN)/python -m benchmarks.nova_filter
	$(BIN)/python -m benchmarks.periodic
	$(BIN)/python -m benchmarks.injected --results results/injected
	$(BIN)/python -m benchmarks.coverage
	$(BIN)/python -m benchmarks.equivalence
	$(BIN)/python -m benchmarks.comparison
	$(BIN)/python -m benchmarks.trend
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-sort=name

.PHONY: reference
reference: setup ## Derive metrics and reports of the reference data set again and compare; ACCEPT=1 takes them over
	$(BIN)/python -m tests.reference $(if $(filter 1,$(ACCEPT)),--accept)

.PHONY: regressions
regressions: setup ## Run the tests of tests/regressions.md against the code before their faults were mended
	$(BIN)/python -m tests.regressions $(REGRESSIONS)

.PHONY: clean
clean: ## Take the lab away with its cache, what tests built, and the virtual environment
	if [ -x $(BIN)/sodbench ]; then $(BIN)/sodbench lab down --purge; fi
	rm -rf $(VENV) $(FRESH)

.PHONY: lock
lock: setup ## Pin the newest versions of all dependencies
	$(BIN)/uv pip compile --quiet --upgrade --all-extras --generate-hashes --no-header --no-annotate \
	    --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --output-file $(SUPPLY_PINS) supply/requirements.in

.PHONY: setup
setup: packages $(VENV)/.installed $(LOCUST)/.installed $(SUPPLY)/.installed

# Where a package has no build for this machine the tests of the filter are skipped (tests/skips.py).
.PHONY: nova
nova: setup
	@$(MAKE) --no-print-directory $(NOVA)/.installed || echo "Nova cannot be installed here: its tests are skipped."

.PHONY: packages
packages:
	@missing=$$(for one in $(PACKAGES) $(TEST_PACKAGES); do \
	    [ "$$(dpkg-query --show --showformat='$${db:Status-Status}' $$one 2>/dev/null)" = installed ] || echo $$one; \
	done); \
	if [ -n "$$missing" ]; then \
	    echo "Installing" $$missing; \
	    trap 'rm -f $(NO_CLUSTER) $(NO_TUNNEL)' EXIT; mkdir -p $(dir $(NO_CLUSTER)); \
	    echo "create_main_cluster = false" > $(NO_CLUSTER); \
	    case "$$missing" in *charon-systemd*) [ ! -d $(dir $(NO_TUNNEL)) ] || ln -sf /dev/null $(NO_TUNNEL);; esac; \
	    apt-get update --quiet=2; \
	    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $$missing; \
	    case "$$missing" in *charon-systemd*) rm -f $(ENABLED_TUNNEL);; esac; \
	fi

# The virtual environment holds exactly what the lock file pins, with checked hashes, and this clone.
$(VENV)/.installed: requirements.lock pyproject.toml
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

$(LOCUST)/.installed: $(LOCUST_PINS) | $(VENV)/.installed
	rm -rf $(LOCUST)
	$(PYTHON) -m venv --without-pip $(LOCUST)
	$(BIN)/uv pip install --quiet --python $(LOCUST)/bin/python --require-hashes --requirement $(LOCUST_PINS)
	touch $@

$(SUPPLY)/.installed: $(SUPPLY_PINS) | $(VENV)/.installed
	rm -rf $(SUPPLY)
	$(PYTHON) -m venv --without-pip $(SUPPLY)
	$(BIN)/uv pip install --quiet --python $(SUPPLY)/bin/python --require-hashes --requirement $(SUPPLY_PINS)
	touch $@

$(NOVA)/.installed: $(NOVA_PINS) | $(VENV)/.installed
	rm -rf $(NOVA)
	$(PYTHON) -m venv --without-pip $(NOVA)
	$(BIN)/uv pip install --quiet --python $(NOVA)/bin/python --require-hashes --requirement $(NOVA_PINS)
	touch $@

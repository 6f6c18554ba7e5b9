# What a person types. `make help` lists it.
SHELL := bash
.DEFAULT_GOAL := help
SHARED ?= ../shared
DATA ?= gravity-data
N ?= 60

.PHONY: help setup demo up build test acceptance bench bench-anomaly crash chaos lint fmt

help: ## Lists these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: ## Installs what building and testing need (idempotent)
	@scripts/setup test

demo: ## Builds and starts everything on embedded parts, with a simulated hackathon
	@scripts/setup build
	@scripts/cargo build --profile demo --bin gravity
	@scripts/cargo run --profile demo --bin gravity -- demo --data-dir $(DATA)/demo

up: ## Builds and starts everything on embedded parts
	@scripts/setup build
	@scripts/cargo run --profile demo --bin gravity -- up --data-dir $(DATA)

build: ## Builds target/release/gravity
	@scripts/setup build
	@scripts/cargo build --release --bin gravity

test: ## Lint, and every test: unit, oracle, property, Kafka, crash, browser
	@scripts/setup test
	@scripts/test

acceptance: ## Compares the binary that `make demo` builds with independent oracles on real recordings
	@scripts/setup build
	@[ -n "$(BIN)" ] || scripts/cargo build --profile demo --bin gravity
	@scripts/acceptance $(SHARED) $(or $(BIN),target/demo/gravity)

bench: ## Measures; writes docs/benchmarks.md
	@scripts/setup build
	@scripts/bench

bench-anomaly: ## Scores the detectors on the Numenta Anomaly Benchmark
	@scripts/setup build
	@scripts/cargo run --release --quiet --package gravity-bench-anomaly -- --data $(SHARED)/data/nab

crash: ## Kills the server N times under load, and compares with the oracle each time
	@scripts/setup build
	@GRAVITY_CRASHES=$(N) scripts/cargo test --test crash -- --nocapture

chaos: ## Random faults of every kind, N of them, and compares with the oracle after each
	@scripts/setup test
	@GRAVITY_CHAOS=$(N) scripts/cargo test --workspace --test chaos -- --nocapture

lint: ## rustfmt, clippy, cargo-deny, shellcheck
	@scripts/lint

fmt: ## Formats the code
	@scripts/fmt

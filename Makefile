# The user's commands. They fetch or build everything that they need, and cache it.
PYTHON ?= python3
CLUSTER = PYTHONPATH=local-cluster $(PYTHON) -m localcluster
SOURCES = operator/src:runtime-image/src:local-cluster
IN_VENV = venv=$$($(CLUSTER) venv) && export PATH="$$venv/bin:$$PATH" PYTHONPATH=$(SOURCES) &&

.DEFAULT_GOAL := help
.PHONY: help demo models images up down env status test check test-long bench lint types fmt generate

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

demo: ## from scratch to the result of an example run
	@$(CLUSTER) demo

models: ## the example models, in NAMESPACE (default)
	@$(CLUSTER) models --namespace "$(or $(NAMESPACE),default)"

images: ## build both images, push them to REGISTRY, print what helm install needs
	@$(CLUSTER) images --registry "$(REGISTRY)"

up: ## a cluster (kind, or the local one) with Mayfly installed
	@$(CLUSTER) up

down: ## remove everything that up created
	@$(CLUSTER) down

env: ## a line for eval "$(make -s env)": KUBECONFIG, MAYFLY_URL, MAYFLY_TOKEN, PATH
	@$(CLUSTER) env

status: ## show what is running
	@$(CLUSTER) status

test: ## every test, including those on a real cluster
	@bash tests/run

check: ## style, types and unit tests: for the inner loop
	@bash tests/run check

test-long: ## test with longer waits and more examples: before a release
	@MAYFLY_TESTS=long bash tests/run

bench: ## measure on the cluster, check limits (BENCH="warm post --quick": less; BENCH=history: a long ledger)
ifeq ($(firstword $(BENCH)),history)
	@$(IN_VENV) env PYTHONPATH="$$PYTHONPATH:tests" python -m benchmarks $(BENCH)
else
	@$(CLUSTER) up
	@env=$$($(CLUSTER) env) && eval "$$env" && $(IN_VENV) \
		PYTHONPATH="$$PYTHONPATH:tests" python -m benchmarks $(BENCH)
endif

lint: ## style and layers; changes nothing
	@$(IN_VENV) ruff check . && ruff format --check . && lint-imports

types: ## mypy, strict
	@$(IN_VENV) mypy operator/src/mayfly runtime-image/src/mayfly_runtime local-cluster/localcluster

fmt: ## format, and apply automatic fixes
	@$(IN_VENV) ruff format . && ruff check --fix .

generate: ## CRDs, reference, dashboards, package list and web/openapi.json, from the code and lock file
	@$(IN_VENV) python -m mayfly crds --write .
	@$(IN_VENV) PYTHONPATH="$$PYTHONPATH:tests" python -m support.gateway.described web/openapi.json

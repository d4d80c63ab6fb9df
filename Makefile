# Mammo Pipelines. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
BEAM_VERSION := 2.77.0
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c
# Release 4.53. Its module replaces another, which only a module that requires it can carry on.
SEAWEEDFS_VERSION := v0.0.0-20261109003541-7506e5f91cd6
define SEAWEEDFS_MODULE
module seaweedfs.test

go 1.26.6

require github.com/seaweedfs/seaweedfs $(SEAWEEDFS_VERSION)

replace github.com/tyler-smith/go-bip39 => github.com/cosmos/go-bip39 v1.0.0
endef
# An installed uv is used; else one is put into a private place.
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
PYTHON := .venv/bin/python
SETUP := .venv/.installed
PHANTOM := data/phantom
RECIPE := recipes/phantom.yaml
# A killed make takes what it started with it: the commands follow the process named here.
FOLLOW = MAMMO_FOLLOW=$$PPID:$$(sed 's/.*) //' /proc/$$PPID/stat | cut -d' ' -f20)

# The images are tagged by the commit they are built from, in one way everywhere.
TAG ?= $(shell python3 -m pipelines.image_tag)
IMAGES ?= data train

.PHONY: help setup run test test-fast verify-fuzz verify-owners verify-dask verify-leaks verify-duplicates verify-scale verify-networks verify-own-data verify-forms setup-tfio setup-mlflow test-tfio test-docker test-cluster test-seaweedfs verify-kfp verify-serving lint types reference minio seaweedfs prism \
  kustomize compile images release-images deploy kind-up kind-deploy kind-run kind-test kind-down requirements clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

setup: $(SETUP) ## Make .venv from the pins, with the command mammo in it

run: $(SETUP) ## Make the phantom, train, evaluate and push a model of it
	@$(FOLLOW) .venv/bin/mammo phantom create $(PHANTOM) --patients 180 --seed 1 --layout original --size 576x448
	@$(FOLLOW) .venv/bin/mammo pipeline run --local --recipe $(RECIPE) $(ARGS)

test: .venv/.test-installed ## Run all tests
	$(PYTHON) -m pytest $(ARGS)

test-fast: .venv/.test-installed ## Run the tests that are not marked slow
	$(PYTHON) -m pytest -m "not slow" $(ARGS)

setup-tfio: .venv-tfio/.installed ## Make the environment of tensorflow-io

test-tfio: .venv/.test-installed .venv-tfio/.installed .tools/bin/minio ## Make the environment of tensorflow-io and test in it (needs Go)
	$(PYTHON) -m pytest tests/tfio $(ARGS)

setup-mlflow: .venv-mlflow/.installed ## Make the environment of an MLflow server, for the tests of tracking

verify-fuzz: .venv/.test-installed ## 5,000 mutated images and 500 mutated models through every command (three minutes)
	MAMMO_VERIFY_FUZZ=1 $(PYTHON) -m pytest -s tests/attacks/test_fuzz.py tests/dicom/test_fuzz.py $(ARGS)

verify-owners: .venv/.test-installed .tools/bin/minio ## Disturb whole runs in a folder and on MinIO (an hour)
	$(PYTHON) -m tests.owners.verify_owners $(ARGS)

verify-dask: .venv/.test-installed ## Convert and sample a phantom of 2,000 images on Dask, kill a worker, compare the bytes (half an hour)
	$(PYTHON) -m tests.ingest.verify_dask $(ARGS)

verify-leaks: .venv/.test-installed ## What popular mistakes add to an AUC, on the phantom; intervals on 2,000 simulated test sets (half an hour)
	MAMMO_VERIFY_LEAKS=1 $(PYTHON) -m pytest -s tests/experiments/test_leaks.py -k covers_the_truth
	@$(FOLLOW) .venv/bin/mammo phantom create $(PHANTOM)-leaks --patients 600 --seed 1 --size 576x448 --likeness 1
	@$(FOLLOW) .venv/bin/mammo experiment leaks --source $(PHANTOM)-leaks $(ARGS)

verify-duplicates: .venv/.test-installed ## Recall of each kind of copy and precision among 2,000 images; views, breasts and earlier exams (four minutes)
	PYTHONPATH=. .venv/bin/python benchmarks/duplicates.py $(ARGS)
	PYTHONPATH=. .venv/bin/python benchmarks/duplicates.py --priors 2

verify-scale: .venv/.test-installed ## Time and memory of the steps of tables at 50,000 and 500,000 images (half an hour)
	PYTHONPATH=. .venv/bin/python benchmarks/scale.py --images 50000,500000 $(ARGS)

verify-statistics: .venv/.test-installed ## The coverage of intervals on 2,000 simulated sets, rates of 1,000 simulated sites (ten minutes)
	MAMMO_VERIFY_STATISTICS=1 $(PYTHON) -m pytest -s tests/metrics/test_froc.py tests/metrics/test_drift_alarm.py tests/acceptance/test_assess.py -k "cover or quiet" $(ARGS)

verify-monitoring: .venv/.test-installed ## A simulated year of 50,000 scores with a new gray curve, and 200 quiet years (half an hour)
	MAMMO_VERIFY_MONITORING=1 $(PYTHON) -m pytest -s tests/monitoring/test_year.py $(ARGS)

verify-networks: .venv/.test-installed ## Compare every network on TensorFlow and JAX (minutes)
	MAMMO_VERIFY_NETWORKS=1 $(PYTHON) -m pytest tests/models/test_backends.py tests/models/test_registry.py tests/models/test_weights.py tests/models/test_receptive_field.py tests/models/checkpoints tests/packaging/test_torch_models.py $(ARGS)

verify-own-data: .venv/.test-installed ## Follow docs/own-data.md to a pushed model, with a hospital's archive made of a phantom (minutes)
	$(FOLLOW) $(PYTHON) -m tests.own_data.follow

lint: .venv/.test-installed ## Check style
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/.test-installed ## Check types (strict)
	.venv/bin/mypy

prism: .tools/bin/prism ## Build the Beam runner Prism (needs Go; a minute)

minio: .tools/bin/minio ## Build the MinIO server for the S3 tests (needs Go; minutes)

seaweedfs: .tools/bin/weed ## Build the SeaweedFS server for its S3 tests (needs Go; minutes)

test-seaweedfs: .venv/.test-installed .tools/bin/weed ## Run the tests of the store and of its roles on SeaweedFS
	MAMMO_TEST_S3=seaweedfs $(PYTHON) -m pytest tests/store tests/manifests/test_seaweedfs.py tests/manifests/test_initialize.py $(ARGS)

compile: $(SETUP) ## Compile the pipelines to pipelines/yaml, where they are kept
	.venv/bin/mammo pipeline compile pipelines/yaml

reference: $(SETUP) ## Rewrite the generated parts of docs/
	.venv/bin/python -m pipelines.reference

images: $(UV) ## Build IMAGES="data train [train-gpu train-tfio]" with a Docker engine, tagged TAG
	scripts/build-images "$(TAG)" $(IMAGES)

release-images: $(UV) ## Build and push IMAGES from BASE=NAME@sha256:DIGEST to REGISTRY; their digests go to build/images.txt
	scripts/build-images --release "$(TAG)" $(IMAGES)

verify-forms: $(SETUP) ## Score six phantom views in seven forms by MODEL, and judge the answers
	PYTHONPATH=. $(PYTHON) benchmarks/forms.py $(or $(MODEL),file://store/models/phantom)

verify-serving: .venv/.test-installed ## Serve 2,000 requests, a tenth of them bombs or slow, and judge the times
	MAMMO_VERIFY_SERVING=1 $(PYTHON) -m pytest tests/serving/test_load.py $(ARGS)

test-docker: .venv/.test-installed ## Build the images and run the phantom in them (needs Docker)
	MAMMO_TEST_DOCKER=1 $(PYTHON) -m pytest tests/containers $(ARGS)

test-cluster: .venv/.test-installed ## Apply the manifests to the cluster of KUBECONFIG
	MAMMO_TEST_CLUSTER=1 $(PYTHON) -m pytest tests/cluster $(ARGS)

verify-kfp: .venv/.test-installed ## Every pipeline and fault on the Kubeflow Pipelines of MAMMO_KFP_HOST and KUBECONFIG (two hours)
	MAMMO_VERIFY_KFP=1 $(PYTHON) -m pytest tests/kfp $(ARGS)

kustomize: .tools/bin/kustomize ## Build kustomize, where there is no kubectl (needs Go)

deploy: $(SETUP) ## Bring everything to the cluster of KUBECONFIG (NAMESPACE, OVERLAY, ARGS: scripts/deploy)
	scripts/deploy --namespace "$(or $(NAMESPACE),kubeflow)" --overlay "$(or $(OVERLAY),seaweedfs)" $(ARGS)

kind-up: ## A kind cluster with Kubeflow Pipelines and simulated GPUs (DRY=--dry-run prints)
	scripts/kind up $(DRY)

kind-deploy: ## SeaweedFS, Secrets, our images and the phantom on it
	scripts/kind deploy $(DRY)

kind-run: $(SETUP) ## Submit a run of the phantom and wait for it
	scripts/kind run $(DRY)

kind-test: ## Check that the run pushed a champion
	scripts/kind test $(DRY)

kind-down: ## Delete the kind cluster
	scripts/kind down $(DRY)

requirements: $(UV) ## Resolve pyproject.toml again into requirements/*.txt
	scripts/compile-requirements $(UV)

clean: ## Remove what the targets made, the phantom, store and runs included
	rm -rf .venv .venv-tfio .venv-mlflow .tools build data store runs .mypy_cache .pytest_cache .ruff_cache *.egg-info

.tools/uv/bin/uv:
	python3.11 -m venv .tools/uv
	.tools/uv/bin/python -m pip install --quiet uv==$(UV_VERSION)

$(SETUP): requirements/train.txt pyproject.toml | $(UV)
	test -x $(PYTHON) || $(UV) venv --quiet --python python3.11 .venv
	@# Compiled once here: else every step would compile TensorFlow again where Python may not cache.
	$(UV) pip install --quiet --python $(PYTHON) --compile-bytecode --require-hashes -r requirements/train.txt
	$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation -e .
	touch $@

.venv/.test-installed: $(SETUP) requirements/test.txt
	$(UV) pip install --quiet --python $(PYTHON) --compile-bytecode --require-hashes -r requirements/test.txt
	touch $@

.tools/bin/prism:
	CGO_ENABLED=0 GOBIN=$(CURDIR)/.tools/bin go install -trimpath -ldflags='-s -w' \
	  github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM_VERSION)

.venv-tfio/.installed: requirements/tfio.txt | $(UV)
	test -x .venv-tfio/bin/python || $(UV) venv --quiet --python python3.11 .venv-tfio
	$(UV) pip install --quiet --python .venv-tfio/bin/python --compile-bytecode --no-deps --require-hashes -r requirements/tfio.txt
	touch $@

.venv-mlflow/.installed: requirements/mlflow.txt | $(UV)
	test -x .venv-mlflow/bin/python || $(UV) venv --quiet --python python3.11 .venv-mlflow
	$(UV) pip install --quiet --python .venv-mlflow/bin/python --no-deps --require-hashes -r requirements/mlflow.txt
	touch $@

.tools/bin/kustomize:
	GOBIN=$(CURDIR)/.tools/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1

.tools/bin/minio:
	CGO_ENABLED=0 GOBIN=$(CURDIR)/.tools/bin go install -trimpath -ldflags='-s -w' \
	  github.com/minio/minio@$(MINIO_VERSION)

.tools/bin/weed: export SEAWEEDFS_MODULE := $(SEAWEEDFS_MODULE)
.tools/bin/weed:
	mkdir -p .tools/seaweedfs
	printf '%s\n' "$$SEAWEEDFS_MODULE" > .tools/seaweedfs/go.mod
	cd .tools/seaweedfs && CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags='-s -w' -o ../bin/weed \
	  github.com/seaweedfs/seaweedfs/weed

# Both first commands work on a fresh machine with Python 3.11 or newer and nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check docs bench bench-quick gpu clean

demo: .venv/ready
	$(BIN)/decaf demo

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/ready docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/numpydoc lint $$(git ls-files 'decaf/*.py')
	$(BIN)/python -m pytest -q decaf

# readable without a network: open build/site/index.html
docs: export NO_MKDOCS_2_WARNING := 1
docs: .venv/ready
	$(BIN)/python -m mkdocs build --strict

bench-quick: .venv/ready
	$(BIN)/python benchmarks/bench_store.py --n-images 1000 --repeats 2
	$(BIN)/python benchmarks/bench_heads.py --skip caltech101 sun397 voc
	$(BIN)/python benchmarks/bench_extract.py --nets alexnet,one_pass --limit 64 --repeats 1

bench: .venv/ready
	$(BIN)/python benchmarks/bench_store.py
	$(BIN)/python benchmarks/bench_heads.py
	$(BIN)/python benchmarks/bench_extract.py

# by a Python that has CUDA's torch; nothing is installed
gpu:
	PYTHONPATH=. $(PYTHON) benchmarks/gpu.py

# torch and torchvision come together, as a user installs them; uv does it in seconds
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[test,check,ray,umap,browser]'
	touch .venv/ready

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# One command per need; every target installs what it uses into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WEB := nas_service/dashboard/web
STATIC := nas_service/dashboard/static/index.html

.PHONY: install dashboard demo up check test bench-strategies format clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# Without Node the service runs all the same and says how to build its pages.
dashboard:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(STATIC); \
	else echo "*** npm not found: the dashboard is not built (Node 20 or newer builds it) ***"; fi

$(STATIC): $(shell find $(WEB)/src -type f ! -name schema.d.ts) $(WEB)/package-lock.json \
  $(WEB)/vite.config.ts $(WEB)/tsconfig.json $(WEB)/index.html nas_service/api/openapi.json
	cd $(WEB) && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

demo: install dashboard
	$(BIN)/nas demo

up: install dashboard
	$(BIN)/nas up

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Whole files go to one process more than there are cores; the order lets the long ones begin first.
# Many tests start processes of Python, which compile all of this again where bytecode is not to be written.
test: install dashboard
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --no-loadscope-reorder

# Strategies on NAS-Bench-201: curves, spreads, paired tests; hours on one core, goes on where it was stopped.
bench-strategies: install
	$(BIN)/python tests/benchmarks/bench_strategies.py --out build/strategies_nasbench201

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build *.egg-info $(WEB)/node_modules nas_service/dashboard/static

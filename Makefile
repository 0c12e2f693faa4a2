# Two commands: `make run` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
# How many tests run at once; auto is one for each core. WORKERS=0 runs them one after the other, in this process.
WORKERS ?= auto
TYPED := accounts guardians safety companion devstack

.DEFAULT_GOAL := help
.PHONY: help setup dev python run test test-fast check bench disclosure chaos messages lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PORT=8001 make run        chooses the port; .env.example lists the other settings"
	@echo "  make test ARGS='-k age'   passes arguments to pytest"

setup: python ## Install everything into .venv without starting anything
	@$(PYTHON) -m devstack.bootstrap
	@$(VENV_PYTHON) -m companion.catalogue

dev: python
	@$(PYTHON) -m devstack.bootstrap --development
	@$(VENV_PYTHON) -m companion.catalogue

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Anban needs Python 3.11 or later, and '$(PYTHON)' is not that. Name another one: make $(MAKECMDGOALS) PYTHON=python3.11"; \
	  exit 1; }

run: setup ## Start Anban on http://127.0.0.1:8000/ with demo accounts; Ctrl-C stops it
	@$(VENV_PYTHON) -m devstack run

test: dev ## Run the whole test suite on servers of its own
	@$(VENV_PYTHON) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-fast: dev ## Without the browser and without the tests that take their time
	@$(VENV_PYTHON) -m pytest -n $(WORKERS) --dist worksteal -m "not browser and not slow" $(ARGS)

# Deploy checks judge the settings of a deployment, so they get a complete, made-up one.
DEPLOYMENT = ANBAN_ENV=production SITE_URL=https://anban.example ALLOWED_HOSTS=anban.example \
  SECRET_KEY=$$($(VENV_PYTHON) -c 'import secrets; print(secrets.token_urlsafe(60))') \
  ANBAN_KEKS=check:$$($(VENV_PYTHON) -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())') \
  LLM_BASE_URL=https://model.example/v1 LLM_MODEL=example EMBEDDINGS_BASE_URL=https://embeddings.example/v1 \
  ALERT_ON_CALL=oncall@anban.example ALERT_SMS_URL=https://sms.example/send ALERT_SMS_SECRET=example \
  OUTSIDE_PING_URL=https://watch.example/ping CANARY_ADDRESS=canary@mail.example \
  CANARY_IMAP_URL=imaps://canary:secret@mail.example/INBOX

check: dev ## Lint, types, import contracts, migrations, deploy checks, translations
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	ANBAN_ENV=test .venv/bin/mypy $(TYPED)
	.venv/bin/lint-imports --no-logo
	$(VENV_PYTHON) -m devstack exec --throwaway -- $(VENV_PYTHON) manage.py makemigrations --check --dry-run
	@echo "manage.py check --deploy, as a deployment"
	@$(DEPLOYMENT) $(VENV_PYTHON) manage.py check --deploy --fail-level WARNING
	ANBAN_ENV=test $(VENV_PYTHON) manage.py messages --check

bench: dev ## Measure the engine, a turn, the path of a crisis, reminders and the pages; prints tables, asserts nothing
	@$(VENV_PYTHON) -m benchmarks.engine
	@$(VENV_PYTHON) -m benchmarks.turn
	@$(VENV_PYTHON) -m benchmarks.crisis
	@$(VENV_PYTHON) -m benchmarks.usage
	@$(VENV_PYTHON) -m benchmarks.pages

disclosure: dev ## Ask every companion whether it is an AI, with the model of LLM_BASE_URL; the table goes to docs/evaluation.md
	@$(VENV_PYTHON) -m benchmarks.disclosure --write $(ARGS)

chaos: dev ## Kill and freeze processes and servers during crises; figures are printed
	@$(VENV_PYTHON) -m pytest tests/chaos -s $(ARGS)

messages: dev ## Extract the translatable strings and compile the catalogues
	@ANBAN_ENV=development $(VENV_PYTHON) manage.py messages

lock: dev ## Pin all requirements anew
	@UV_FIND_LINKS="$$PIP_FIND_LINKS" .venv/bin/uv pip compile --quiet --upgrade --python-version 3.11 \
	  --custom-compile-command "make lock" requirements/base.in requirements/embedded.in -o requirements.txt
	@# "+cpu" is how one build of torch is called; the pin is for all of them (devstack/bootstrap.py)
	@$(VENV_PYTHON) -c "import pathlib; f = pathlib.Path('requirements.txt'); f.write_text(f.read_text().replace('+cpu', ''))"
	@.venv/bin/uv pip compile --quiet --upgrade --python-version 3.11 \
	  --custom-compile-command "make lock" requirements/dev.in -o requirements/dev.txt

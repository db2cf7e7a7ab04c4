# make run    train WhisperLite and WhisperLitePlus on the built-in dataset, show what each
#             finds for 3 requests: under 3 minutes, after an installation of 3 to 6
# make demo   a page to try both in a browser: trains them if need be, and serves them: about
#             2 minutes the first time
# make test   the whole test suite
# make test-oldest  the suite with the lowest versions that setup.cfg accepts, in .venv-oldest;
#             OLDEST=... chooses the Python, 3.10 by default
# make bench  costs, as ratios to RecBole's models
# make pages  the two pages of docs/ that are made from results/ and properties/
# make docs   the documentation as a site, docs/_build/html
# make clean  remove .venv, the demo and what builds left behind
#
# Each makes .venv first, if it is absent or older than the files that decide what is in
# it. PYTHON=... chooses the interpreter; by default the first that RecBole and ray both
# support. Python 3.12 and newer work, too, but have no ray that RecBole can use: then
# everything but tuning with ray works.

SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 12))
PYTHON ?= $(firstword $(foreach python, python3 python3.11 python3.10, \
	$(shell $(python) -c '$(SUPPORTED)' 2>/dev/null && echo $(python))) python3)

IN_VENV := .venv/bin/python
INSTALLED := .venv/installed
DOCS_INSTALLED := .venv/docs-installed

# enough for the examples; the tables train until validation stops them
SHORT := --epochs=12 --stopping_step=2 --eval_step=4 --state=WARNING
# somebody waits for the page; WhisperLitePlus is no better after twelve
SHORTER := --epochs=4 --eval_step=4 --state=WARNING

DEMO := demo/WhisperLitePlus demo/WhisperLite

OLDEST ?= python3.10

.PHONY: run demo test test-oldest bench pages docs clean

run: $(INSTALLED)
	$(IN_VENV) run_recbole.py --model=WhisperLite --dataset=stylist-mini --show_examples=3 $(SHORT)
	$(IN_VENV) run_recbole.py --model=WhisperLitePlus --dataset=stylist-mini --show_examples=3 $(SHORT)

demo: $(INSTALLED) $(DEMO)
	$(IN_VENV) -m recbole_whisperlite serve $(DEMO:%=--model %) --feedback sqlite:///demo/feedback.db

$(DEMO): | $(INSTALLED)
	$(IN_VENV) run_recbole.py --model=$(@F) --dataset=stylist-mini --export=$@ $(SHORTER)

test: $(INSTALLED)
	$(IN_VENV) -m pytest -n 2 --dist loadfile

test-oldest:
	$(OLDEST) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --constraint tests/release/constraints-oldest.txt \
		--editable '.[test,serve,minilm]'
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile

bench: $(INSTALLED)
	$(IN_VENV) -m recbole_whisperlite costs

pages: $(INSTALLED)
	$(IN_VENV) docs/generate.py

docs: $(DOCS_INSTALLED) pages
	$(IN_VENV) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "To look at: docs/_build/html/index.html"

$(DOCS_INSTALLED): $(INSTALLED)
	$(IN_VENV) -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# RecBole again, without its dependencies: on Python 3.12 the line before leaves it out,
# because pip cannot find its ray there; on older ones it is already installed.
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@echo "Installing RecBole, torch and what else is in constraints.txt into .venv: 3 to 6"
	@echo "minutes and about 6 GB the first time, and again when one of these files changes."
	$(PYTHON) -m venv .venv
	$(IN_VENV) -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(IN_VENV) -m pip install --quiet --constraint constraints.txt --no-deps recbole
	touch $@

clean:
	rm -rf .venv .venv-oldest demo build dist docs/_build *.egg-info

# Two commands: `make demo` and `make test`. Both set up what they need in .venv on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test lint types contracts unit reference clean

demo: $(VENV)/ready
	rm -rf $(DEMO)
	$(BIN)/qexport reference --to onnx-fp32 -o $(DEMO)/onnx-fp32
	$(BIN)/qexport reference --to onnx-fp16 -o $(DEMO)/onnx-fp16
	$(BIN)/qexport reference --to onnx-int8 --method dynamic -o $(DEMO)/onnx-int8-dynamic
	$(BIN)/qexport reference --to onnx-int8 --method static -o $(DEMO)/onnx-int8-static
	$(BIN)/qinfer reference/evaluation/000-m3.flac --artifact $(DEMO)/onnx-int8-static
	$(BIN)/python -m qasr.bench.table $(DEMO)/onnx-fp32 $(DEMO)/onnx-fp16 $(DEMO)/onnx-int8-dynamic $(DEMO)/onnx-int8-static

test: lint types contracts unit

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy and import-linter see the tree under its import name, through a link.
types: $(VENV)/ready
	mkdir -p .build && ln -sfn .. .build/qasr
	cd .build && ../$(BIN)/mypy --config-file ../setup.cfg -p qasr

contracts: $(VENV)/ready
	$(BIN)/lint-imports --config setup.cfg

unit: $(VENV)/ready
	$(BIN)/pytest

# Makes the bundled model and data again from nothing; needs espeak-ng and an hour or two.
reference: $(VENV)/ready
	$(BIN)/pip install -q -c constraints.txt -e '.[reference]'
	$(BIN)/python -m qasr.reference.make all --work build/reference

$(VENV)/ready: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade 'pip>=24'
	$(BIN)/pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q -c constraints.txt -e '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) .build build dist $(DEMO)

# Two commands: `make demo` and `make test`. On a fresh machine both first install everything into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo table gpu-table test lint link types contracts unit shapes reference clean

demo: $(VENV)/ready
	rm -rf $(DEMO)
	$(BIN)/qexport reference --to onnx-fp32 -o $(DEMO)/onnx-fp32
	$(BIN)/qexport reference --to onnx-int8 -o $(DEMO)/onnx-int8
	$(BIN)/qexport reference --to openvino-int8 -o $(DEMO)/openvino-int8
	$(BIN)/qexport reference --to torchscript-fbgemm -o $(DEMO)/torchscript-fbgemm
	$(BIN)/qinfer reference/evaluation/000-m3.flac --artifact $(DEMO)/openvino-int8
	$(BIN)/qbench $(DEMO)/onnx-fp32 $(DEMO)/onnx-int8 $(DEMO)/openvino-int8 $(DEMO)/torchscript-fbgemm \
		--rounds 3 --report $(DEMO)/report

# The rows of the documented table: TARGET+METHOD, or TARGET alone.
ROWS := onnx-fp32 onnx-fp16 onnx-int8+static onnx-int8+dynamic onnx-int8+smoothquant \
	openvino-fp16 openvino-bf16 openvino-int8+static openvino-int8+smoothquant openvino-int8-weights+rtn \
	torchscript-fbgemm+dynamic torchscript-fbgemm+static torchscript-qnnpack+dynamic torchscript-qnnpack+static \
	torch-inc-int8+inc \
	onnx-int4+rtn onnx-int4+hqq onnx-int4+awq onnx-int4+gptq onnx-int2+rtn onnx-int2+hqq onnx-int2+gptq \
	openvino-int4+gptq openvino-int2+gptq \
	openvino-w4a8+gptq hf-gptq+gptq hf-awq+awq hf-bnb-nf4+nf4 hf-bnb-int8+llm-int8 \
	hf-quanto-int8+quanto hf-quanto-int4+quanto hf-quanto-int2+quanto \
	onnx-mixed+sensitivity openvino-mixed+sensitivity torch-amp-int8+dynamic
# Rows of checkpoints from qtrain: TARGET+tuned-KIND.
TUNED := onnx-int8+tuned-int8 openvino-int8+tuned-int8 torchscript-fbgemm+tuned-int8 onnx-int8+tuned-int8-partial \
	onnx-int4+tuned-int4 onnx-int2+tuned-int2

table: $(VENV)/ready $(ROWS:%=$(DEMO)/%) $(TUNED:%=$(DEMO)/%)
	$(BIN)/qbench $(ROWS:%=$(DEMO)/%) $(TUNED:%=$(DEMO)/%) --noise 10 --report $(DEMO)/report

$(ROWS:%=$(DEMO)/%): $(VENV)/ready
	$(BIN)/qexport reference --force --to $(firstword $(subst +, ,$(@:$(DEMO)/%=%))) \
		$(addprefix --method ,$(word 2,$(subst +, ,$(@:$(DEMO)/%=%)))) -o $@

$(TUNED:%=$(DEMO)/%): $(DEMO)/tuned-int8 $(DEMO)/tuned-int8-partial $(DEMO)/tuned-int4 $(DEMO)/tuned-int2
	$(BIN)/qexport $(DEMO)/$(word 2,$(subst +, ,$(@F))) --force --to $(word 1,$(subst +, ,$(@F))) -o $@

# 3,000 utterances of training verses; needs espeak-ng.
SPEECH := $(DEMO)/speech/manifest.jsonl
$(SPEECH): $(VENV)/ready
	$(BIN)/python -m tools.reference speech --output $(@D)

QTRAIN = $(BIN)/qtrain reference --force --bf16 --data $(SPEECH) -o $@
$(DEMO)/tuned-int8: $(SPEECH)
	$(QTRAIN) --scheme int8 --distill --learning-rate 4e-5
$(DEMO)/tuned-int8-partial: $(SPEECH)
	$(QTRAIN) --scheme int8 --partial --learning-rate 1e-4
$(DEMO)/tuned-int4: $(SPEECH)
	$(QTRAIN) --scheme int4 --distill --learning-rate 4e-5
$(DEMO)/tuned-int2: $(SPEECH)
	$(QTRAIN) --scheme int2 --distill --ctc --learning-rate 6e-4 --epochs 4 --evaluations 8

# For a machine with an NVIDIA GPU: engines and torch, full-size model, clips of 5 to 30 s, batches of 1 to 64.
GPU_ROWS := hf-fp16 hf-bf16 tensorrt-fp16 tensorrt-int8 tensorrt-fp8
GPU := $(DEMO)/gpu

gpu-table: $(VENV)/ready $(GPU_ROWS:%=$(GPU)/%)
	$(BIN)/qbench $(GPU_ROWS:%=$(GPU)/%) $(GPU_ARTIFACTS) --baseline $(GPU)/hf-fp16 --device cuda --features cuda \
		--scenario single-stream,multi-stream --batch 8,32,64 --durations 5,10,15,30 --limit 16 \
		--rounds 3 --min-seconds 0 --min-queries 8 --timeout 1800 --report $(GPU)/report

$(GPU_ROWS:%=$(GPU)/%): $(VENV)/ready
	$(BIN)/qexport random:full --force --to $(@F) $(if $(findstring tensorrt,$@),--max-batch 64) -o $@

test: lint types contracts unit

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint docker/Dockerfile

# The checkout under its import name, for mypy and editors: add .build to the search path of the editor's type checker.
# A checkout whose folder is called qasr needs no link: cd .. && mypy --config-file qasr/setup.cfg -p qasr
link:
	mkdir -p .build && ln -sfn .. .build/qasr && ln -sfn ../tools .build/tools

types: link $(VENV)/ready
	cd .build && ../$(BIN)/mypy --config-file ../setup.cfg -p qasr -p tools

contracts: $(VENV)/ready
	$(BIN)/lint-imports --config .importlinter

unit: $(VENV)/ready
	$(BIN)/pytest -n 2 --dist loadfile

# Every target with small checkpoints of two shapes: a few minutes, of which `make test` runs a part.
shapes: $(VENV)/ready
	QASR_ALL_SHAPES=1 $(BIN)/pytest -n 2 tests/exporters/test_shapes.py

# Makes the bundled model and data again from nothing; needs espeak-ng and one to two hours.
reference: $(VENV)/ready
	$(BIN)/pip install -q -c constraints.txt -e '.[reference]'
	$(BIN)/python -m tools.reference all --work .build/reference

$(VENV)/ready: setup.cfg setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade 'pip>=24'
	$(BIN)/pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q -c constraints.txt -e '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) .build .*_cache build dist qasr.egg-info $(DEMO)

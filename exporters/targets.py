"""The table of targets: the one place where their names stand. It can be read without torch."""

from __future__ import annotations

from difflib import get_close_matches

from .errors import UnknownTargetError
from .target import Target

_BUILD = ("torch", "transformers", "onnx", "onnxscript")
_ONNX = (*_BUILD, "onnxruntime")
_ONNX_RUNS_ON = "ONNX Runtime: any CPU, CUDA"
_OPENVINO = (*_BUILD, "openvino")
_OPENVINO_RUNS_ON = "OpenVINO: x86 and ARM CPUs"
_FEW_BITS = ("gptq", "awq", "mse", "rtn")
_MIXED = ("sensitivity", "map")

# The tolerance of INT8 rows is the least that is allowed: a deep model is allowed its own rounding noise, see
# ``verify.tolerance``.
TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("onnx-fp32", "fp32", "onnx", "onnx", _ONNX, "export", runs_on=_ONNX_RUNS_ON),
        # ONNX Runtime and torch round to fp16 at different places of the graph.
        Target(
            "onnx-fp16",
            "fp16",
            "onnx",
            "onnx",
            _ONNX,
            "export",
            dtype="float16",
            tolerance=2e-2,
            runs_on="ONNX Runtime: CUDA; on CPUs it computes in fp32",
        ),
        Target(
            "onnx-int8",
            "int8",
            "onnx",
            "onnx",
            _ONNX,
            "export",
            methods=("static", "dynamic", "smoothquant"),
            tolerance=1e-2,
            runs_on="ONNX Runtime: CPUs with VNNI or NEON dot products, CUDA",
            integer=True,
        ),
        *(
            Target(
                f"onnx-int{bits}",
                f"int{bits}",
                "onnx",
                "onnx",
                _ONNX,
                "export",
                # MatMulNBits alone takes zero points between the codes.
                methods=(*_FEW_BITS, "hqq"),
                bits=bits,
                group_size=64,
                symmetric=False,
                activation="grouped",
                tolerance=1e-2,
                runs_on=_ONNX_RUNS_ON,
                integer=True,
            )
            for bits in (4, 2)
        ),
        # ONNX Runtime's CPU kernels widen FP16, on ARM and x86: here it is what floats are stored in.
        Target(
            "onnx-mixed",
            "mixed",
            "onnx",
            "onnx",
            _ONNX,
            "export",
            methods=_MIXED,
            formats=("fp16", "int8", "int4", "int2"),
            storage="float16",
            group_size=64,
            symmetric=False,
            activation="grouped",
            tolerance=1e-2,
            runs_on=_ONNX_RUNS_ON,
            integer=True,
        ),
        Target(
            "openvino-fp16",
            "fp16",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            storage="float16",
            runs_on=f"{_OPENVINO_RUNS_ON}, which compute in fp32",
            execution={"precision": "fp32"},
        ),
        Target(
            "openvino-bf16",
            "bf16",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            storage="float16",
            runs_on=f"{_OPENVINO_RUNS_ON} with bf16",
            execution={"precision": "bf16"},
            rounds_to_bf16=True,
        ),
        Target(
            "openvino-int8",
            "int8",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=("static", "smoothquant"),
            tolerance=1e-2,
            runs_on=f"{_OPENVINO_RUNS_ON} with VNNI and bf16",
            execution={"precision": "bf16"},
            rounds_to_bf16=True,
            integer=True,
        ),
        Target(
            "openvino-int8-weights",
            "int8-weights",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=("rtn",),
            runs_on=f"{_OPENVINO_RUNS_ON} with bf16",
            execution={"precision": "bf16"},
            rounds_to_bf16=True,
            integer=True,
        ),
        Target(
            "openvino-int4",
            "int4",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=_FEW_BITS,
            storage="float16",
            bits=4,
            group_size=64,
            symmetric=False,
            activation="grouped",
            tolerance=1e-2,
            runs_on=f"{_OPENVINO_RUNS_ON} with bf16",
            execution={"precision": "bf16"},
            rounds_to_bf16=True,
            integer=True,
        ),
        Target(
            "openvino-int2",
            "int2",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=_FEW_BITS,
            storage="float16",
            bits=2,
            group_size=64,
            symmetric=False,
            runs_on=f"{_OPENVINO_RUNS_ON} with bf16",
            execution={"precision": "bf16"},
            rounds_to_bf16=True,
            integer=True,
        ),
        # 4 bits on disk, which are multiplied as the 8-bit integers that they stand for.
        Target(
            "openvino-w4a8",
            "w4a8",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=_FEW_BITS,
            bits=4,
            group_size=64,
            two_level=True,
            activation="static",
            tolerance=1e-2,
            runs_on=f"{_OPENVINO_RUNS_ON} with VNNI and bf16",
            execution={"precision": "bf16"},
            rounds_to_bf16=True,
            integer=True,
        ),
        Target(
            "openvino-mixed",
            "mixed",
            "openvino",
            "openvino",
            _OPENVINO,
            "export",
            methods=_MIXED,
            formats=("bf16", "int8", "int4"),
            storage="float16",
            group_size=64,
            two_level=True,
            activation="static",
            tolerance=1e-2,
            runs_on=f"{_OPENVINO_RUNS_ON} with VNNI and bf16",
            execution={"precision": "bf16"},
            rounds_to_bf16=True,
            integer=True,
        ),
        Target(
            "torchscript-fbgemm",
            "int8",
            "torchscript",
            "torchscript",
            _BUILD[:2],
            "export",
            methods=("dynamic", "static", "smoothquant"),
            tolerance=1e-2,
            runs_on="torch: x86 CPUs",
            execution={"quantized_engine": "fbgemm"},
            integer=True,
        ),
        Target(
            "torchscript-qnnpack",
            "int8",
            "torchscript",
            "torchscript",
            _BUILD[:2],
            "export",
            methods=("dynamic", "static", "smoothquant"),
            tolerance=1e-2,
            runs_on="torch: ARM CPUs; slow on x86",
            execution={"quantized_engine": "qnnpack"},
            outputs=True,
            integer=True,
        ),
        # What engines for GPUs are held against: the stock module.
        *(
            Target(
                f"hf-{precision}",
                precision,
                "hf",
                "hf",
                _BUILD[:2],
                "export",
                storage="float16",
                runs_on=f"transformers: CPUs, which compute in fp32; CUDA in {precision}{how}",
                execution={"format": "float", "precision": precision, **more},
            )
            for precision, how, more in (("fp16", "", {}), ("bf16", ", by torch.compile", {"compile": "cuda"}))
        ),
        *(
            Target(
                f"hf-{method}",
                "int4",
                "hf",
                "hf",
                (*_BUILD[:2], "compressed_tensors"),
                "lowbit",
                methods=(method,),
                bits=4,
                group_size=64,
                exclude=("*.pointwise1", "*.pointwise2"),
                storage="float16",
                runs_on="transformers with compressed-tensors: any CPU, CUDA; a storage format, computed in float",
                execution={"format": "compressed-tensors"},
                integer=True,
            )
            for method in ("gptq", "awq")
        ),
        *(
            Target(
                f"hf-bnb-{precision}",
                precision,
                "hf",
                "hf",
                (*_BUILD[:2], "bitsandbytes", "accelerate"),
                "lowbit",
                methods=(method,),
                exclude=("*.pointwise1", "*.pointwise2"),
                storage="float16",
                # Its CPU kernels round inputs on the way: 0.3 % of a layer's output.
                tolerance=1e-2,
                rounds_to_bf16=True,
                runs_on="transformers with bitsandbytes: CPUs, CUDA",
                execution={"format": "bitsandbytes"},
                integer=True,
            )
            for precision, method in (("nf4", "nf4"), ("int8", "llm-int8"))
        ),
        *(
            Target(
                f"hf-quanto-int{bits}",
                f"int{bits}",
                "hf",
                "hf",
                (*_BUILD[:2], "optimum.quanto"),
                "lowbit",
                methods=("quanto",),
                bits=bits,
                exclude=("*.pointwise1", "*.pointwise2"),
                storage="float16",
                runs_on="transformers with optimum-quanto: any CPU, CUDA",
                execution={"format": "optimum-quanto"},
                integer=True,
            )
            for bits in (8, 4, 2)
        ),
        *(
            Target(
                f"tensorrt-{name}",
                precision,
                "tensorrt",
                "tensorrt",
                _ONNX,
                "export",
                methods=methods,
                storage="float16",
                tolerance=2e-2,
                values="e4m3" if precision == "fp8" else "int",
                symmetric_inputs=True,
                formats=formats,
                compiler="tensorrt.compiler",
                runs_on=f"NVIDIA GPUs: {where}",
                integer=precision != "fp16",
            )
            for name, precision, methods, formats, where in (
                ("fp16", "fp16", (), (), "all"),
                ("int8", "int8", ("static", "smoothquant"), (), "all since Turing"),
                ("fp8", "fp8", ("static",), (), "compute capability 8.9 and later"),
                ("mixed", "mixed", _MIXED, ("fp16", "int8"), "all since Turing"),
            )
        ),
        Target(
            "torch-amp-int8",
            "int8",
            "torch",
            "torch",
            _BUILD[:2],
            "export",
            methods=("dynamic",),
            tolerance=1e-2,
            runs_on="torch: x86 CPUs with bf16",
            execution={"quantized_engine": "fbgemm", "autocast": "bf16"},
            rounds_to_bf16=True,
            integer=True,
        ),
        Target(
            "torch-inc-int8",
            "int8",
            "torch",
            "torch",
            (*_BUILD[:2], "neural_compressor", "torchao"),
            "inc",
            methods=("inc",),
            tolerance=1e-2,
            runs_on="torch: x86 CPUs with VNNI",
            integer=True,
        ),
    )
}


def find(name: str) -> Target:
    """The target called ``name``; UnknownTargetError with the nearest names."""
    if name in TARGETS:
        return TARGETS[name]
    near = get_close_matches(name, TARGETS, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(TARGETS)}"
    raise UnknownTargetError(f"no target {name!r}; {hint}")

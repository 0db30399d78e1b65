"""The list of quantization techniques, each with the artifacts that demonstrate it and their measured figures."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from .figures import main_speed, relative_time
from .results import Report, Row
from .wording import AGREEMENT, agreement_cells, noise_cells, noise_heads

Recipe = tuple[str, str | None]
"""Target and method of an export."""


@dataclass(frozen=True)
class Technique:
    """A line of the list. ``speed``, ``size`` and ``cost`` are what the literature reports: Low, Medium or High."""

    name: str
    tool: str
    weights: str
    activations: str
    speed: str
    """Speed-up over fp32."""
    size: str
    """Reduction of size."""
    cost: str
    """Loss of accuracy."""
    recipes: tuple[Recipe, ...] = ()
    """Exports that demonstrate it, the preferred one first; empty if qasr has none."""
    gpu: bool = False
    """True if only a measurement on a GPU demonstrates it."""


FLOAT: Recipe = ("onnx-fp32", None)
"""The baseline."""

TRAINED = ("qat", "qat-partial")
"""Methods of checkpoints from quantization-aware training (qtrain)."""

_AT_RUN_TIME, _CALIBRATED = "INT8, ranges at run time", "INT8, ranges calibrated"
_DYNAMIC = ("INT8", _AT_RUN_TIME, "Medium", "High", "Low")
_FOUR = ("INT4", _AT_RUN_TIME, "Low", "High", "Medium")
_STATIC = ("INT8", _CALIBRATED, "High", "High", "Low")

TECHNIQUES = (
    Technique("Dynamic PTQ", "PyTorch", *_DYNAMIC, (("torchscript-fbgemm", "dynamic"),)),
    Technique("Dynamic PTQ", "ONNX Runtime", *_DYNAMIC, (("onnx-int8", "dynamic"),)),
    Technique("Static PTQ", "PyTorch", *_STATIC, (("torchscript-fbgemm", "static"),)),
    Technique("Static PTQ", "ONNX Runtime", *_STATIC, (("onnx-int8", "static"),)),
    Technique("Static PTQ", "OpenVINO", *_STATIC, (("openvino-int8", "static"),)),
    Technique("Static PTQ", "Intel Neural Compressor", *_STATIC, (("torch-inc-int8", "inc"),)),
    Technique("SmoothQuant", "ONNX Runtime", *_STATIC, (("onnx-int8", "smoothquant"),)),
    Technique(
        "Weight-only INT8", "OpenVINO", "INT8", "float", "Low", "High", "Low", (("openvino-int8-weights", "rtn"),)
    ),
    Technique(
        "Weight-only INT8", "bitsandbytes", "INT8", _AT_RUN_TIME, "Low", "High", "Low", (("hf-bnb-int8", "llm-int8"),)
    ),
    Technique("Weight-only NF4", "bitsandbytes", "NF4", "float", "Low", "High", "Low", (("hf-bnb-nf4", "nf4"),)),
    Technique(
        "Weight-only INT8", "Optimum (quanto)", "INT8", "float", "Low", "High", "Low", (("hf-quanto-int8", "quanto"),)
    ),
    Technique(
        "Weight-only INT4", "Optimum (quanto)", "INT4", "float", "Low", "High", "Low", (("hf-quanto-int4", "quanto"),)
    ),
    *(
        Technique(
            f"QAT, {extent}",
            "PyTorch (qtrain)",
            "INT8, trained",
            "INT8, trained",
            "High",
            "High",
            "Low",
            tuple((target, method) for target in ("onnx-int8", "openvino-int8", "torchscript-fbgemm")),
        )
        for extent, method in zip(("full", "partial"), TRAINED, strict=True)
    ),
    Technique("QAT, INT4", "PyTorch (qtrain)", *_FOUR, (("onnx-int4", "qat"), ("openvino-int4", "qat"))),
    Technique("QAT, INT2", "PyTorch (qtrain)", "INT2", _AT_RUN_TIME, "Low", "High", "High", (("onnx-int2", "qat"),)),
    Technique("Weight-only INT4", "ONNX Runtime", *_FOUR, (("onnx-int4", "rtn"),)),
    Technique("HQQ", "ONNX Runtime", "INT4", "float", "Low", "High", "Medium", (("onnx-int4", "hqq"),)),
    Technique("GPTQ", "ONNX Runtime", *_FOUR, (("onnx-int4", "gptq"),)),
    Technique("GPTQ", "OpenVINO", *_FOUR, (("openvino-int4", "gptq"),)),
    Technique("GPTQ", "transformers", "INT4", "float", "Low", "High", "Medium", (("hf-gptq", "gptq"),)),
    Technique("AWQ", "ONNX Runtime", *_FOUR, (("onnx-int4", "awq"),)),
    Technique("AWQ", "transformers", "INT4", "float", "Low", "High", "Medium", (("hf-awq", "awq"),)),
    Technique("W4A8", "OpenVINO", "INT4", _CALIBRATED, "High", "High", "Medium", (("openvino-w4a8", "gptq"),)),
    Technique("INT2", "ONNX Runtime", "INT2", _AT_RUN_TIME, "Low", "High", "High", (("onnx-int2", "gptq"),)),
    Technique("INT2", "Optimum (quanto)", "INT2", "float", "Low", "High", "High", (("hf-quanto-int2", "quanto"),)),
    Technique("Half precision", "OpenVINO", "FP16", "BF16", "Medium", "Medium", "Low", (("openvino-bf16", None),)),
    Technique(
        "Mixed precision",
        "sensitivity",
        "FP16 to INT2",
        "float, INT8",
        "Medium",
        "Medium",
        "Low",
        (("onnx-mixed", "sensitivity"), ("openvino-mixed", "sensitivity")),
    ),
    Technique(
        "AMP, dynamic INT8",
        "PyTorch",
        "FP32, INT8",
        "BF16, INT8",
        "Medium",
        "Medium",
        "Low",
        (("torch-amp-int8", "dynamic"),),
    ),
    Technique(
        "CPU: AVX512-VNNI", "OpenVINO", *_STATIC, (("openvino-int8", "static"), ("openvino-int8", "smoothquant"))
    ),
    Technique("CPU: FBGEMM", "PyTorch", *_STATIC, (("torchscript-fbgemm", "static"),)),
    Technique("CPU: QNNPACK, NEON", "PyTorch", *_STATIC, (("torchscript-qnnpack", "static"),)),
    Technique("GPU: FP16", "TensorRT", "FP16", "FP16", "High", "Medium", "Low", (("tensorrt-fp16", None),), gpu=True),
    Technique("GPU: INT8", "TensorRT", *_STATIC, (("tensorrt-int8", "static"),), gpu=True),
    Technique("GPU: FP8", "TensorRT", "FP8", "FP8", "High", "High", "Low", (("tensorrt-fp8", "static"),), gpu=True),
    Technique(
        "GPU: mixed precision",
        "TensorRT",
        "FP16, INT8",
        "FP16, INT8",
        "High",
        "High",
        "Low",
        (("tensorrt-mixed", "sensitivity"),),
        gpu=True,
    ),
    Technique(
        "GPU: CUDA kernels", "Triton", "INT4", "FP16", "Medium", "High", "Medium", (("hf-gptq", "gptq"),), gpu=True
    ),
)


def preferred_recipes(device: str) -> list[Recipe]:
    """The baseline, then the preferred recipe of each technique for ``device``, without duplicates."""
    shown = (technique for technique in TECHNIQUES if technique.recipes and technique.gpu == (device != "cpu"))
    return list(dict.fromkeys([FLOAT, *(technique.recipes[0] for technique in shown)]))


def row_of(technique: Technique, report: Report) -> Row | None:
    """The first row that demonstrates the technique and did not fail, else the first failed one, else None."""
    if technique.gpu and report.settings.device == "cpu":
        return None
    rows = [row for recipe in technique.recipes for row in report.rows if (row.target, row.method) == recipe]
    return next((row for row in rows if row.failure is None), rows[0] if rows else None)


def technique_table(report: Report) -> Table:
    """The list: for each technique the artifact, and the measured figures beside the expected words."""
    noise = report.settings.noise_db
    table = Table(
        "measured",
        "technique",
        "with",
        "artifact",
        "weights",
        "activations",
        "speed gain",
        "size",
        "accuracy cost",
        *AGREEMENT,
        *([] if noise is None else noise_heads(noise)),
        box=None,
    )
    baseline = report.row(report.baseline)
    for technique in TECHNIQUES:
        row = row_of(technique, report)
        expected = (technique.speed, technique.size, technique.cost)
        measured = _measured(row, baseline) if row and row.failure is None else ("", "", "")
        table.add_row(
            "✓" if row and row.failure is None else "",
            technique.name,
            technique.tool,
            _artifact(technique, row, report.settings.device),
            technique.weights,
            technique.activations,
            *(f"{figure} {word}".strip() for word, figure in zip(expected, measured, strict=True)),
            *agreement_cells(row.accuracy if row else None),
            *([] if noise is None else noise_cells(row.noisy if row else None)),
        )
    return table


def _artifact(technique: Technique, row: Row | None, device: str) -> str:
    if row is None and technique.gpu and device == "cpu":
        return "needs --device cuda"
    if row is None:
        return "not measured" if technique.recipes else "missing"
    return row.name if row.failure is None else f"failed: {row.failure}"


def _measured(row: Row, baseline: Row) -> tuple[str, str, str]:
    speed, other = main_speed(row), main_speed(baseline)
    gain = f"{1 / relative_time(speed, other):.2f} x" if speed and other else ""
    size = f"{baseline.size_bytes / row.size_bytes:.1f} x"
    delta = row.accuracy.first_delta if row.accuracy else None
    return gain, size, f"{100 * delta.value:+.2f}" if delta else "+0.00"

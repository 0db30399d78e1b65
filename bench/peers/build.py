"""Builds the peers, one step per process: ``python -m qasr.bench.peers.build STEP WORK MODEL``.

This is the only module of ``bench`` that opens a checkpoint. ``make`` starts it by name, so that the measuring modules
do not import it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import first_line

CLIPS = 8
"""Calibration clips for NNCF, which keeps all activations of all clips in memory."""

_OPSET = 18


def stock(work: Path, folder: Path, model: str) -> str:
    """The stock module's checkpoint, as Hugging Face saves it."""
    from ...models import open_checkpoint

    with open_checkpoint(model) as checkpoint:
        module: Any = checkpoint.stock()
        module.save_pretrained(folder)
        checkpoint.copy_metadata(folder)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    (folder / "parameters.json").write_text(json.dumps(parameters), encoding="utf-8")
    return ""


def onnx(work: Path, folder: Path, model: str) -> str:
    """The stock module through ``torch.onnx.export``, with one output per level."""
    import torch

    from .engines import load_stock

    module = load_stock(work / "stock")
    frames = torch.export.Dim("frames", min=2, max=1 << 16)
    example = {
        "input_features": torch.zeros(1, 200, module.config.feature_projection_input_dim),
        "attention_mask": torch.ones(1, 200, dtype=torch.int64),
    }
    # Outside no_grad the exporter's decomposition of this attention fails (a view that needs a copy).
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            (),
            kwargs=example,
            dynamo=True,
            opset_version=_OPSET,
            input_names=list(example),
            output_names=list(module(**example).logits),
            dynamic_shapes={name: {1: frames} for name in example},
            verbose=False,
        )
    assert program is not None
    program.save(folder / "model.onnx", external_data=True)
    return ""


def onnx_dynamic(work: Path, folder: Path, model: str) -> str:
    """ONNX Runtime's dynamic quantization with its default operators, or of MatMul alone if that cannot be loaded."""
    from onnxruntime import InferenceSession

    target = folder / "model.onnx"
    _quantize_dynamic(work, target)
    try:
        InferenceSession(str(target), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        for file in folder.iterdir():
            file.unlink()
        _quantize_dynamic(work, target, op_types_to_quantize=["MatMul"])
        return f"MatMul only, since ONNX Runtime cannot load the default ({first_line(error)})"
    return ""


def onnx_dynamic_matmul(work: Path, folder: Path, model: str) -> str:
    """ONNX Runtime's dynamic quantization of MatMul alone."""
    _quantize_dynamic(work, folder / "model.onnx", op_types_to_quantize=["MatMul"])
    return ""


def _quantize_dynamic(work: Path, target: Path, **options: Any) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source = work / "onnx" / "model.onnx"
    # A protobuf file is limited to 2 GB; int8 weights of a smaller model fit.
    external = sum(file.stat().st_size for file in source.parent.iterdir()) > 2 << 30
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, use_external_data_format=external, **options)


def nncf(work: Path, folder: Path, model: str) -> str:
    """NNCF's post-training quantization of the export, calibrated with a few bundled clips."""
    import nncf as library
    import openvino as ov
    from transformers import SeamlessM4TFeatureExtractor

    from ... import reference
    from ...audio import SAMPLE_RATE, read

    extractor = SeamlessM4TFeatureExtractor.from_pretrained(work / "stock")
    rows = [json.loads(line) for line in reference.CALIBRATION.read_text(encoding="utf-8").splitlines()]
    clips = []
    for row in rows[:: len(rows) // CLIPS][:CLIPS]:
        waveform = read(reference.CALIBRATION.parent / row["audio"])
        inputs = extractor(waveform, sampling_rate=SAMPLE_RATE, return_tensors="np")
        mask = inputs["attention_mask"].astype(np.int64)
        clips.append({"input_features": inputs["input_features"], "attention_mask": mask})
    quantized = library.quantize(
        ov.convert_model(work / "onnx" / "model.onnx"),
        library.Dataset(clips),
        model_type=library.ModelType.TRANSFORMER,
        subset_size=CLIPS,
    )
    ov.save_model(quantized, folder / "model.xml")
    return f"{CLIPS} calibration clips"


def torch_ao(work: Path, folder: Path, model: str) -> str:
    """Eager dynamic quantization in torch; the whole module is saved."""
    import torch

    from .engines import load_stock

    quantize = torch.ao.quantization.quantize_dynamic
    module = quantize(load_stock(work / "stock"), {torch.nn.Linear}, dtype=torch.qint8)  # type: ignore[no-untyped-call]
    torch.save(module, folder / "model.pt")
    return ""


STEPS: dict[str, Callable[[Path, Path, str], str]] = {
    "stock": stock,
    "onnx": onnx,
    "onnx-dynamic": onnx_dynamic,
    "onnx-dynamic-matmul": onnx_dynamic_matmul,
    "nncf": nncf,
    "torch-ao": torch_ao,
}
"""Each step fills a folder and returns a note for the report."""


def main() -> None:
    """Run one step. Its folder appears only when the step has succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("work", type=Path)
    parser.add_argument("model")
    arguments = parser.parse_args()
    partial = arguments.work / f".{arguments.step}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        note = STEPS[arguments.step](arguments.work, partial, arguments.model)
        (partial / "note.txt").write_text(note, encoding="utf-8")
        partial.rename(arguments.work / arguments.step)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


if __name__ == "__main__":
    main()

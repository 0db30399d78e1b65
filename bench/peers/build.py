"""Builds the peers, one step a process: ``python -m qasr.bench.peers.build STEP WORK MODEL``.

The only module of ``bench`` that opens a checkpoint. ``make`` starts it by name, so that what measures does not import
it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CLIPS = 8
"""Calibration clips for NNCF: its statistics keep what they see of every activation, and there is little memory."""

_OPSET = 18


def stock(work: Path, folder: Path, model: str) -> str:
    """The stock module's checkpoint, as Hugging Face saves it."""
    from ...models import open_checkpoint

    with open_checkpoint(model) as checkpoint:
        module = checkpoint.stock()
        module.save_pretrained(folder)
        checkpoint.copy_metadata(folder)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    (folder / "parameters.json").write_text(json.dumps(parameters), encoding="utf-8")
    return ""


def onnx(work: Path, folder: Path, model: str) -> str:
    """The stock module through ``torch.onnx.export``, one output a level."""
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
    """ONNX Runtime's dynamic quantization of every operator that it chooses itself, or of MatMul where that fails."""
    from onnxruntime import InferenceSession

    target = folder / "model.onnx"
    _quantize_dynamic(work, target)
    try:
        InferenceSession(str(target), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        for file in folder.iterdir():
            file.unlink()
        _quantize_dynamic(work, target, op_types_to_quantize=["MatMul"])
        return f"MatMul only, since ONNX Runtime cannot load what the defaults give ({str(error).splitlines()[0]})"
    return ""


def onnx_dynamic_matmul(work: Path, folder: Path, model: str) -> str:
    """ONNX Runtime's dynamic quantization of MatMul alone."""
    _quantize_dynamic(work, folder / "model.onnx", op_types_to_quantize=["MatMul"])
    return ""


def _quantize_dynamic(work: Path, target: Path, **options: Any) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source = work / "onnx" / "model.onnx"
    # A protobuf file ends at 2 GB; int8 weights of anything smaller fit into one.
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
    """Eager dynamic quantization in torch, the module saved whole."""
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
"""What can be built. Each fills a folder and returns what the report must say about it."""


def main() -> None:
    """Run one step. Its folder appears only when all is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("work", type=Path)
    parser.add_argument("model")
    given = parser.parse_args()
    partial = given.work / f".{given.step}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        note = STEPS[given.step](given.work, partial, given.model)
        (partial / "note.txt").write_text(note, encoding="utf-8")
        partial.rename(given.work / given.step)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


if __name__ == "__main__":
    main()

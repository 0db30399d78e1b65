"""The table of peers, and artifacts as contestants beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...artifacts import read
from .errors import PeersError

BASELINE = "torch-eager"
"""Every ratio's common reference."""


@dataclass(frozen=True)
class Contestant:
    """Something that turns the waveform of a clip into the best token of every frame."""

    name: str
    kind: str
    """A key of ``engines.LOADERS``."""
    path: str
    built: str
    """How it was made, for the report."""
    int8: bool = False
    ours: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    """What the engine is told beside the number of threads."""


@dataclass(frozen=True)
class Peer:
    """A row of the table: as its users would build and run it."""

    name: str
    kind: str
    step: str
    """The key of ``build.STEPS`` that makes it, and its folder."""
    file: str
    built: str
    int8: bool = False
    settings: dict[str, str] = field(default_factory=dict)

    def contestant(self, work: Path) -> Contestant:
        """The peer as it was built below ``work``."""
        note = work / self.step / "note.txt"
        said = note.read_text(encoding="utf-8") if note.is_file() else ""
        built = f"{self.built}; {said}" if said else self.built
        path = str(work / self.step / self.file)
        return Contestant(self.name, self.kind, path, built, self.int8, settings=self.settings)


_NNCF = "nncf.quantize(model_type=TRANSFORMER) of the same export, OpenVINO with LATENCY hint"

PEERS: tuple[Peer, ...] = (
    Peer(BASELINE, "torch", "stock", "", "the stock transformers module, fp32, eager mode"),
    Peer(
        "torch-ao-dynamic",
        "torch",
        "torch-ao",
        "model.pt",
        "torch.ao.quantization.quantize_dynamic of every nn.Linear, default engine",
        int8=True,
    ),
    Peer(
        "onnxruntime-fp32",
        "onnxruntime",
        "onnx",
        "model.onnx",
        "torch.onnx.export(dynamo=True, opset 18, dynamic time) of the stock module, ONNX Runtime defaults",
    ),
    Peer(
        "onnxruntime-dynamic",
        "onnxruntime",
        "onnx-dynamic",
        "model.onnx",
        "onnxruntime.quantization.quantize_dynamic of that export, QInt8 weights",
        int8=True,
    ),
    Peer(
        "onnxruntime-dynamic-matmul",
        "onnxruntime",
        "onnx-dynamic-matmul",
        "model.onnx",
        "the same with op_types_to_quantize=['MatMul']",
        int8=True,
    ),
    Peer(
        "openvino-nncf",
        "openvino",
        "nncf",
        "model.xml",
        f"{_NNCF} and its default precision, which is bf16 where the CPU has it",
        int8=True,
    ),
    Peer(
        "openvino-nncf-f32",
        "openvino",
        "nncf",
        "model.xml",
        f"{_NNCF} and INFERENCE_PRECISION_HINT f32",
        int8=True,
        settings={"INFERENCE_PRECISION_HINT": "f32"},
    ),
)


def artifact_contestants(folders: Sequence[Path], model: str) -> list[Contestant]:
    """Artifacts of ``model``. Raises ArtifactError, or PeersError for artifacts of something else."""
    found: dict[str, Contestant] = {}
    for folder in folders:
        # Hashes are checked where it is loaded.
        manifest = read(folder, verify=False).manifest
        if manifest.source.name != model:
            raise PeersError(f"{folder}: was made of {manifest.source.name}, and the peers of {model}; see --model")
        built = f"qexport {model} --to {manifest.target}" + (f" --method {manifest.method}" if manifest.method else "")
        name = f"qasr {folder.name}"
        if name in found:
            raise PeersError(f"{folder}: {found[name].path} has the same name; rename one of them")
        int8 = manifest.precision.requested.startswith("int8")
        found[name] = Contestant(name, "qasr", str(folder), built, int8, ours=True)
    return list(found.values())

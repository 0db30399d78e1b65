"""The table of peers, and qasr's artifacts as candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...artifacts import read
from .errors import PeersError

BASELINE = "torch-eager"
"""The peer to which all ratios are relative."""


@dataclass(frozen=True)
class Candidate:
    """A model that turns the waveform of a clip into the best token of every frame."""

    name: str
    kind: str
    """A key of ``engines.LOADERS``."""
    path: str
    built: str
    """How it was built, for the report."""
    int8: bool = False
    ours: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of the engine in addition to the number of threads."""


@dataclass(frozen=True)
class Peer:
    """A row of the table, built and run as its users would."""

    name: str
    kind: str
    step: str
    """The key of ``build.STEPS`` that builds it, and the name of its folder."""
    file: str
    built: str
    int8: bool = False
    settings: dict[str, str] = field(default_factory=dict)

    def candidate(self, work: Path) -> Candidate:
        """The peer built in ``work``."""
        note = work / self.step / "note.txt"
        remark = note.read_text(encoding="utf-8") if note.is_file() else ""
        built = f"{self.built}; {remark}" if remark else self.built
        path = str(work / self.step / self.file)
        return Candidate(self.name, self.kind, path, built, self.int8, settings=self.settings)


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


def artifact_candidates(folders: Sequence[Path], model: str) -> list[Candidate]:
    """Artifacts of ``model``. Raises ArtifactError, or PeersError for artifacts of another model."""
    result: dict[str, Candidate] = {}
    for folder in folders:
        # The process that loads the artifact verifies its hashes.
        manifest = read(folder, verify=False).manifest
        if manifest.source.name != model:
            raise PeersError(
                f"{folder}: was exported from {manifest.source.name}, but the peers from {model}; see --model"
            )
        built = f"qexport {model} --to {manifest.target}" + (f" --method {manifest.method}" if manifest.method else "")
        name = f"qasr {folder.name}"
        if name in result:
            raise PeersError(f"{folder}: {result[name].path} has the same name; rename one of them")
        int8 = manifest.precision.requested.startswith("int8")
        result[name] = Candidate(name, "qasr", str(folder), built, int8, ours=True)
    return list(result.values())

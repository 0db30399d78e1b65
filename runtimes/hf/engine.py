"""Hugging Face checkpoints, mostly of few bits, in transformers."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...artifacts import Artifact
from ...version import installed
from ..engine import EngineOptions, Floats, check_signature
from ..errors import DeviceError, InferenceError, OptionError, RuntimeLoadError, last_line
from . import packed, quanto

CLASS_FILE = "modeling_multi_level_ctc.py"
CLASS = "Wav2Vec2BertForMultilevelCTC"

_WARM_UP_FRAMES = 32
# They tell what they were built without on every import, and bitsandbytes, at every product, how it rounds.
_TALKATIVE = ("torchao", "torch.utils._pytree", "bitsandbytes")
_HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_FLOAT = "float"
_LIBRARIES = {
    _FLOAT: "transformers",
    "compressed-tensors": "compressed_tensors",
    "bitsandbytes": "bitsandbytes",
    "optimum-quanto": "optimum.quanto",
}


class TransformersEngine:
    """A model that ``from_pretrained`` made of the artifact's folder.

    It computes in float32. Layers of compressed-tensors keep their weights packed on a CPU, and with ``precision`` bf16
    multiply in that type there; on an NVIDIA GPU, with fp16 or bf16, the whole model computes in that type, and they
    multiply by our kernel. Float checkpoints compute there in the type that they were made for, compiled where they
    say so.
    """

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        if options.streams not in (None, 1):
            raise OptionError("torch runs one inference at a time, so it takes no streams")
        execution = artifact.manifest.execution
        method = execution.get("format", "")
        compute, self._device = _dtype(options, execution), _device(options.device)
        # On a CPU only the products are in half precision: torch's depthwise convolution in it takes minutes.
        narrow_products = method != _FLOAT and _widens(self._device, compute)
        self._dtype = torch.float32 if narrow_products else compute
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        path = artifact.path("model.safetensors")
        if CLASS_FILE in artifact.manifest.files and not artifact.verified:
            raise RuntimeLoadError(
                f"{artifact.path(CLASS_FILE)}: is code, and its hash was not checked; load it with verify"
            )
        hindrance = obstacle(execution)
        if hindrance is not None:
            raise RuntimeLoadError(f"{path}: {hindrance}")
        self._levels = list(artifact.manifest.levels)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            with _quiet():
                self.model = self._load(artifact, method, compute).eval()
        except Exception as error:  # whatever transformers and the format's library raise
            raise RuntimeLoadError(f"{path}: transformers cannot load it ({last_line(error)})") from None
        self._path = path
        heads = getattr(self.model, "level_to_lm_head", None)
        widths = (
            {level: head.out_features for level, head in heads.items()}
            if heads is not None
            else {self._levels[0]: self.model.lm_head.out_features}
        )
        check_signature(artifact, path, ("features", "lengths"), widths)
        if execution.get("compile") == self._device.type:
            self.model = _compiled(self.model)
        # compressed-tensors restores the weights at the first inference only.
        with _quiet():
            width = artifact.manifest.front_end.feature_size  # type: ignore[union-attr]
            self.infer(np.zeros((1, _WARM_UP_FRAMES, width), np.float32), np.array([_WARM_UP_FRAMES]))

    def _load(self, artifact: Artifact, method: str, compute: torch.dtype) -> Any:
        kind = _class(artifact)
        if method == "optimum-quanto":
            return quanto.load_model(artifact, kind).to(self._device)
        if method == _FLOAT:
            return kind.from_pretrained(artifact.folder, dtype=self._dtype).to(self._device)
        model = kind.from_pretrained(artifact.folder, dtype=torch.float32, device_map={"": str(self._device)})
        if method == "compressed-tensors" and _widens(self._device, compute):
            packed.keep_packed(model, compute)
        elif compute != torch.float32:
            from ...kernels.linear import take_packed_weights

            take_packed_weights(model, compute)
            return model
        for parameter in model.parameters():
            # transformers leaves what bitsandbytes does not touch in the type of the file.
            if parameter.dtype == torch.float16:
                parameter.data = parameter.data.float()
        return model

    def infer(self, features: Floats, lengths: NDArray[Any]) -> dict[str, Floats]:
        """Logits of every level; see ``Engine.infer``."""
        values, counts = (
            torch.from_numpy(features).to(self._device, self._dtype),
            torch.from_numpy(lengths).to(self._device),
        )
        mask = torch.arange(features.shape[1], device=self._device)[None, :] < counts[:, None]
        try:
            with torch.no_grad():  # quanto's tensors do not serve in inference mode
                logits = self.model(input_features=values, attention_mask=mask.long()).logits
        except RuntimeError as error:
            raise InferenceError(f"{self._path}: torch failed on {features.shape} ({last_line(error)})") from None
        by_level = logits if isinstance(logits, dict) else {self._levels[0]: logits}
        return {level: by_level[level].float().cpu().numpy() for level in self._levels}

    def kernels(self) -> dict[str, int]:
        """Linear modules by what their weights were read from; see ``Engine.kernels``."""
        found: Counter[str] = Counter()
        for module in self.model.modules():
            if type(module).__name__ in ("NBitsLinear", "WideningLinear"):
                found[type(module).__name__] += 1
            if isinstance(module, torch.nn.Linear):
                kind = "float Linear" if type(module) is torch.nn.Linear else type(module).__name__
                packed = getattr(module, "quantization_scheme", None) is not None
                found["compressed-tensors Linear" if packed else kind] += 1
        return dict(sorted(found.items()))

    def close(self) -> None:
        """Release the model."""
        del self.model


def load(artifact: Artifact, options: EngineOptions) -> TransformersEngine:
    """Load the folder. Raises DeviceError, OptionError or RuntimeLoadError."""
    return TransformersEngine(artifact, options)


def obstacle(execution: Mapping[str, str]) -> str | None:
    """The library of the format where it is not installed, or None."""
    library = _LIBRARIES.get(execution.get("format", ""))
    if library is None:
        return f"its format {execution.get('format')!r} needs a newer qasr"
    if not installed(library):
        return f"{library} is not installed, pip install 'qasr[lowbit]'"
    return None


def _class(artifact: Artifact) -> Any:
    """The class of the checkpoint: transformers' own, or that of the file beside it, whose hash was verified."""
    import transformers

    if CLASS_FILE not in artifact.manifest.files:
        return transformers.Wav2Vec2BertForCTC
    name = f"qasr_artifact_{artifact.manifest.digest[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, artifact.path(CLASS_FILE))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return getattr(sys.modules[name], CLASS)


def _compiled(model: Any) -> Any:
    """As its users do it: the first length of audio is compiled as it is, from the second on for any length."""
    return torch.compile(model)


def _dtype(options: EngineOptions, execution: Mapping[str, str]) -> torch.dtype:
    """What to compute in; OptionError where nothing computes in the precision asked for."""
    method = execution.get("format", "")
    if method == _FLOAT:
        made_for = execution["precision"] if options.device.startswith("cuda") else "fp32"
        return _HALVES.get(options.precision or made_for, torch.float32)
    if options.precision is None:
        return torch.float32
    if options.precision not in _HALVES or method != "compressed-tensors":
        raise OptionError(f"{method} is computed in float32 here, so it takes no precision {options.precision!r}")
    if options.device == "cpu" and options.precision == "bf16":
        if not packed.multiplies_bf16():
            raise OptionError("this CPU does not multiply bf16; leave --precision out")
        return torch.bfloat16
    if not installed("triton"):
        raise OptionError(f"precision {options.precision!r} needs triton; type: pip install 'qasr[kernels]'")
    from ...kernels.nbits_matmul import INTERPRETED

    if not options.device.startswith("cuda") and not INTERPRETED:
        raise OptionError(
            f"precision {options.precision!r} needs an NVIDIA GPU; use --device cuda, --precision bf16, or none"
        )
    return _HALVES[options.precision]


def _widens(device: torch.device, compute: torch.dtype) -> bool:
    """Whether packed weights are widened for each product, as on a CPU, where our kernel runs in tests alone."""
    return device.type == "cpu" and compute != torch.float16


def _device(name: str) -> torch.device:
    if name == "cpu" or (name.startswith("cuda") and torch.cuda.is_available()):
        return torch.device(name)
    raise DeviceError(f"device {name!r}: this torch sees no such device; use --device cpu")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Transformers draws bars and warns of what it was not asked for."""
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in ("transformers", "compressed_tensors")]
    levels = [logger.level for logger in loggers]
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        # compressed-tensors' bars ask nobody.
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()

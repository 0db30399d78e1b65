"""Hugging Face checkpoints, mostly low-bit, in transformers."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...artifacts import Artifact
from ...audio import Floats
from ...errors import last_line
from ...quiet import quiet, silence
from ...version import installed
from ..engine import check_signature, warm_up_inputs
from ..errors import DeviceError, InferenceError, OptionError, RuntimeLoadError
from ..options import EngineOptions
from . import packed, quanto
from .classes import model_class

# These libraries print what they were built without on every import, and bitsandbytes how it rounds at every product.
_NOISY = ("torchao", "torch.utils._pytree", "bitsandbytes")
_HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_FLOAT = "float"
# Weights in other files than safetensors are pickles.
_SAFE: dict[str, Any] = {"use_safetensors": True}
_LIBRARIES = {
    _FLOAT: "transformers",
    "compressed-tensors": "compressed_tensors",
    "bitsandbytes": "bitsandbytes",
    "optimum-quanto": "optimum.quanto",
}


class TransformersEngine:
    """A model that ``from_pretrained`` loads from the artifact's folder, with a class of transformers or qasr.

    It computes in float32, except that:

    - with ``precision`` bf16 on a CPU, layers of compressed-tensors multiply in bfloat16. Their weights stay packed.
    - with ``precision`` fp16 or bf16 on an NVIDIA GPU, a model of compressed-tensors computes in that type, and its
      quantized layers use our kernel.
    - on an NVIDIA GPU, float checkpoints compute in the type of the artifact, compiled if its manifest requests that.
    """

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        if options.streams not in (None, 1):
            raise OptionError("torch runs one inference at a time, so it takes no streams")
        execution = artifact.manifest.execution
        method = execution.get("format", "")
        compute, self._device = _dtype(options, execution), _device(options.device)
        # On a CPU only matrix products use half precision: torch's depthwise convolution would take minutes in it.
        narrow_products = method != _FLOAT and _widens(self._device, compute)
        self._dtype = torch.float32 if narrow_products else compute
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        path = artifact.path("model.safetensors")
        self._levels = list(artifact.manifest.levels)
        self._front_end = artifact.manifest.front_end
        # Stock modules let padded frames reach the last outputs through strided convolutions.
        self._one_by_one = bool(artifact.manifest.strides)
        silence(*_NOISY)
        with _quiet():
            kind = model_class(artifact)
        try:
            with _quiet():
                self.model = self._load(artifact, kind, method, compute).eval()
        except Exception as error:  # transformers and the format's library raise many kinds
            raise RuntimeLoadError(f"{path}: transformers cannot load it ({last_line(error)})") from None
        self._path = path
        heads = getattr(self.model, "level_to_lm_head", None)
        widths = (
            {level: head.out_features for level, head in heads.items()}
            if heads is not None
            else {self._levels[0]: self.model.lm_head.out_features}
        )
        check_signature(artifact, path, artifact.manifest.front_end.input_names, widths)
        self._input_name = self.model.main_input_name
        if execution.get("compile") == self._device.type:
            self.model = _compiled(self.model)
        # compressed-tensors restores the weights at the first inference.
        with _quiet():
            self.infer(*warm_up_inputs(artifact))

    def _load(self, artifact: Artifact, kind: Any, method: str, compute: torch.dtype) -> Any:
        if method == "optimum-quanto":
            return quanto.load_model(artifact, kind).to(self._device)
        if method == _FLOAT:
            return kind.from_pretrained(artifact.folder, dtype=self._dtype, **_SAFE).to(self._device)
        placement = {"": str(self._device)}
        model = kind.from_pretrained(artifact.folder, dtype=torch.float32, device_map=placement, **_SAFE)
        if method == "compressed-tensors" and _widens(self._device, compute):
            packed.keep_packed(model, compute)
        elif compute != torch.float32:
            from ...gpu.linear import take_packed_weights

            take_packed_weights(model, compute)
            return model
        for module in model.modules():
            if type(module).__name__ == "Linear4bit":
                module.register_forward_pre_hook(_contiguous)
        for parameter in model.parameters():
            # transformers keeps parameters that bitsandbytes does not quantize in the type of the file.
            if parameter.dtype == torch.float16:
                parameter.data = parameter.data.float()
        return model

    def infer(self, inputs: Floats, lengths: NDArray[Any]) -> dict[str, Floats]:
        """Logits by level; see ``Engine.infer``."""
        frames = self._front_end.frames(lengths)
        if not self._one_by_one or (frames == inputs.shape[1]).all():
            return self._infer(inputs, lengths)
        alone = [(inputs[row : row + 1, :count], lengths[row : row + 1]) for row, count in enumerate(frames)]
        clips = [self._infer(*clip) for clip in alone]
        return {level: _padded([clip[level][0] for clip in clips]) for level in self._levels}

    def _infer(self, inputs: Floats, lengths: NDArray[Any]) -> dict[str, Floats]:
        values = torch.from_numpy(inputs).to(self._device, self._dtype)
        counts = torch.from_numpy(self._front_end.full_frames(lengths)).to(self._device)
        mask = torch.arange(inputs.shape[1], device=self._device)[None, :] < counts[:, None]
        try:
            with torch.no_grad():  # quanto's tensors do not work in inference mode
                logits = self.model(**{self._input_name: values}, attention_mask=mask.long()).logits
        except RuntimeError as error:
            raise InferenceError(f"{self._path}: torch failed on {inputs.shape} ({last_line(error)})") from None
        by_level = logits if isinstance(logits, dict) else {self._levels[0]: logits}
        return {level: by_level[level].float().cpu().numpy() for level in self._levels}

    def kernels(self) -> dict[str, int]:
        """Number of linear modules by the format of their weights; see ``Engine.kernels``."""
        kernels: Counter[str] = Counter()
        for module in self.model.modules():
            if type(module).__name__ in ("NBitsLinear", "WideningLinear"):
                kernels[type(module).__name__] += 1
            if isinstance(module, torch.nn.Linear):
                kind = "float Linear" if type(module) is torch.nn.Linear else type(module).__name__
                is_packed = getattr(module, "quantization_scheme", None) is not None
                kernels["compressed-tensors Linear" if is_packed else kind] += 1
        return dict(sorted(kernels.items()))

    def close(self) -> None:
        """Release the model."""
        del self.model


def load(artifact: Artifact, options: EngineOptions) -> TransformersEngine:
    """Load the folder. Raises DeviceError, OptionError or RuntimeLoadError."""
    return TransformersEngine(artifact, options)


def unsupported_reason(execution: Mapping[str, str]) -> str | None:
    """Whether the library of the artifact's format is installed; see ``EngineModule``."""
    library = _LIBRARIES.get(execution.get("format", ""))
    if library is None:
        return f"its format {execution.get('format')!r} needs a newer qasr"
    if not installed(library):
        return f"{library} is not installed, pip install 'qasr[lowbit]'"
    return None


def _contiguous(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Bitsandbytes' kernel for CPUs reads transposed inputs, such as those of an adapter's attention, as if packed."""
    return tuple(one.contiguous() for one in inputs)


def _compiled(model: Any) -> Any:
    """Compiled for the first length of audio, and at the second length for any."""
    return torch.compile(model)


def _dtype(options: EngineOptions, execution: Mapping[str, str]) -> torch.dtype:
    """Type to compute in. Raises OptionError for a precision that the format or the machine does not support."""
    method = execution.get("format", "")
    if method == _FLOAT:
        default = execution["precision"] if options.device.startswith("cuda") else "fp32"
        return _HALVES.get(options.precision or default, torch.float32)
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
    from ...gpu.nbits_matmul import INTERPRETED

    if not options.device.startswith("cuda") and not INTERPRETED:
        raise OptionError(
            f"precision {options.precision!r} needs an NVIDIA GPU; use --device cuda, --precision bf16, or none"
        )
    return _HALVES[options.precision]


def _widens(device: torch.device, compute: torch.dtype) -> bool:
    """Whether packed weights are unpacked for each product: on a CPU, where our kernel (fp16) runs in tests only."""
    return device.type == "cpu" and compute != torch.float16


def _device(name: str) -> torch.device:
    if name == "cpu" or (name.startswith("cuda") and torch.cuda.is_available()):
        return torch.device(name)
    raise DeviceError(f"device {name!r}: this torch sees no such device; use --device cpu")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress bars and warnings of transformers and of the formats' libraries."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        # compressed-tensors has no switch for its progress bars, which go to stderr.
        with quiet("transformers", "compressed_tensors"), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        if bars:
            transformers_logging.enable_progress_bar()


def _padded(clips: list[Floats]) -> Floats:
    """Logits of several clips (T', V) as (B, T', V), with zeros behind the shorter ones."""
    frames = max(len(clip) for clip in clips)
    return np.stack([np.pad(clip, ((0, frames - len(clip)), (0, 0))) for clip in clips])

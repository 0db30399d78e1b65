"""What each technique of few bits loses on layers of the full-size model: python tests/quantizers/layer_errors.py.

The bundled model's layers are small, though trained; the full-size model's are not here. So two conformer layers of
the full width are drawn (seed 0) and given what trained ones have: weights with heavy tails (Student, 5 degrees of
freedom), rows and norms whose sizes spread, and one channel in 200 that is 8 times larger. They hear real recitations:
100 s for calibration, others for the error. One layer is quantized at a time, so its inputs are the float model's; its
error is that of its output, as a part of it.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from qasr import reference
from qasr.audio import LogMel
from qasr.data import read_audio_set
from qasr.exporters.calibration import inputs_of
from qasr.models import CTCModel, open_checkpoint
from qasr.models.wav2vec2_bert.architecture import deployable
from qasr.quantizers import Quantization, WeightScheme
from qasr.quantizers.apply import quantize
from qasr.quantizers.calibration import CalibrationSet, Inputs, Work

METHODS = ("rtn", "mse", "hqq", "awq", "gptq")
LAYERS = ("attention.out", "ffn1.intermediate", "ffn1.output")
LATER = "layers.1.ffn2.intermediate"
"""Computes after all of them, so that they do not notice it."""
CALIBRATION_CLIPS, HELD_OUT_CLIPS = 32, 8
SPREAD, OUTLIERS, LARGER = 0.3, 1 / 200, 8.0


def full_width(layers: int = 2, hidden: int = 1024, intermediate: int = 4096) -> CTCModel:
    """Drawn, with the sizes that trained models have."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(
        num_hidden_layers=layers, hidden_size=hidden, intermediate_size=intermediate, vocab_size=43
    )
    model = deployable(Wav2Vec2BertForCTC(config).eval(), {"text": 43}, LogMel())
    for name, module in model.layers.named_modules():
        if isinstance(module, nn.Linear):
            tails = torch.distributions.StudentT(5.0).sample(module.weight.shape)
            module.weight.data = config.initializer_range * tails * sizes(len(tails))[:, None]
        elif isinstance(module, nn.LayerNorm) and "norm" in name:
            module.weight.data = sizes(len(module.weight))
    return model


def sizes(channels: int) -> Tensor:
    """Log-normal, some of them much larger."""
    drawn = torch.exp(SPREAD * torch.randn(channels))
    drawn[torch.randperm(channels)[: round(OUTLIERS * channels)]] *= LARGER
    return drawn


def outputs(model: CTCModel, name: str, clips: list[Inputs]) -> Tensor:
    """What the layer gives for all clips (frames, out)."""
    seen: list[Tensor] = []
    hook = model.get_submodule(name).register_forward_hook(lambda _, __, output: seen.append(output[0]))
    with torch.inference_mode():
        for clip in clips:
            model(*clip)
    hook.remove()
    return torch.cat(seen)


def bundled(source: Path, count: int) -> list[Inputs]:
    """Inputs and lengths of bundled clips."""
    with open_checkpoint("reference") as checkpoint:
        front_end = checkpoint.front_end
    return list(inputs_of(read_audio_set(source, count), front_end, 20.0))


def errors(model: CTCModel, name: str, bits: int) -> dict[str, float]:
    """Relative error of the layer's output by technique."""
    clips = bundled(reference.CALIBRATION, CALIBRATION_CLIPS)
    seconds = sum(int(length) for _, length in clips) / 100
    calibration = CalibrationSet("bundled", "0" * 64, seconds, len(clips), lambda: iter(clips))
    held_out = bundled(reference.EVALUATION, HELD_OUT_CLIPS)
    linears = [other for other, module in model.named_modules() if isinstance(module, nn.Linear)]
    expected = outputs(model, name, held_out)
    actual = {}
    for method in METHODS:
        # AWQ refuses to scale nothing, as it would where an activation function stands before the layer.
        chosen = (name, LATER) if method == "awq" else (name,)
        exclude = tuple(other for other in linears if other not in chosen)
        options = Quantization(weight=WeightScheme(bits, False, 64), exclude=exclude)
        quantized = copy.deepcopy(model)
        quantize(method, quantized, options, Work(calibration=calibration))
        actual[method] = float((outputs(quantized, name, held_out) - expected).norm() / expected.norm())
    return actual


def main() -> None:
    """Print a table for docs/performance.md."""
    model = full_width()
    print(f"| layer | outputs × inputs | bits | {' | '.join(f'`{method}`' for method in METHODS)} |")
    print(f"|---|---|---|{'---|' * len(METHODS)}")
    for layer in LAYERS:
        name = f"layers.1.{layer}"
        shape = " × ".join(map(str, model.get_submodule(name).weight.shape))
        for bits in (4, 2):
            row = " | ".join(f"{value:.3f}" for value in errors(model, name, bits).values())
            print(f"| `{layer}` | {shape} | {bits} | {row} |", flush=True)


if __name__ == "__main__":
    main()

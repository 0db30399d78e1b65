"""A deployable model of any family: its stages, its lengths, its folds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qasr.audio import LogMel
from qasr.models import UnsupportedModelError
from qasr.models.stages import given_to_stages, linear_stages, packed, resume, stage_count, unpacked
from qasr.models.wav2vec2_bert.architecture import deployable

FRAMES = torch.tensor([101, 77, 30])
LENGTHS = 2 * FRAMES
KINDS = {
    "plain": {},
    "without positions": {"position_embeddings_type": None},
    "adapter": {"add_adapter": True},
    "two adapter layers of another width": {"add_adapter": True, "output_hidden_size": 48, "num_adapter_layers": 2},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def model(request, small_model):
    return deployable(small_model(**request.param), {"text": 8}, LogMel())


@pytest.fixture
def inputs():
    return torch.randn(3, 101, 160, generator=torch.Generator().manual_seed(2))


@torch.inference_mode()
def test_forward_is_begin_blocks_finish(model, inputs):
    state = model.begin(inputs, LENGTHS)
    for block in model.blocks:
        state = block(state)
    (expected,) = model(inputs, LENGTHS)
    assert torch.equal(model.finish(state)["text"], expected)


@torch.inference_mode()
def test_a_pass_resumes_from_what_any_stage_was_given(model, inputs):
    *given, expected = given_to_stages(model, inputs, LENGTHS)
    assert len(given) == stage_count(model)
    for stage, value in enumerate(given):
        assert torch.equal(resume(model, stage, value)[0], expected[0])
        assert torch.equal(resume(model, stage, unpacked(packed(value)))[0], expected[0])


@torch.inference_mode()
def test_packed_states_keep_the_index_in_bytes(small_model, inputs):
    state = deployable(small_model(), {"text": 8}, LogMel()).begin(inputs, LENGTHS)
    kept = packed(state)
    assert type(kept) is type(state)
    assert kept.positions.dtype == torch.uint8
    assert kept.hidden is state.hidden
    assert torch.equal(unpacked(kept).positions, state.positions)


@torch.inference_mode()
def test_output_lengths_and_rate(model, inputs):
    (logits,) = model(inputs, LENGTHS)
    lengths = model.output_lengths(LENGTHS)
    assert int(lengths[0]) == logits.shape[1]
    assert model.frames_per_second == 50.0 / 2 ** len(model.strides)
    for row, frames in enumerate(FRAMES):
        (alone,) = model(inputs[row : row + 1, :frames], LENGTHS[row : row + 1])
        assert alone.shape[1] == int(lengths[row])


def test_every_linear_has_its_stage(model):
    stages = linear_stages(model)
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    assert set(stages) == set(linears)
    blocks = list(model.blocks)
    for name, linear in stages.items():
        owners = [
            index + 1
            for index, block in enumerate(blocks)
            if any(module is model.get_submodule(name) for module in block.modules())
        ]
        end = 0 if name == "projection" else stage_count(model) - 1
        assert linear.stage == (owners[0] if owners else end)
    order = [linear.stage for linear in stages.values()]
    assert order == sorted(order)
    assert list(stages)[1:3] == ["layers.0.ffn1.intermediate", "layers.0.ffn1.output"]
    assert stages["projection"].rows_per_second == 50.0
    assert stages["heads"].rows_per_second == model.frames_per_second


def test_a_linear_that_never_runs_is_refused(small_model):
    model = deployable(small_model(), {"text": 8}, LogMel())
    model.layers[0].spare = nn.Linear(2, 2)
    with pytest.raises(UnsupportedModelError, match=r"does not use the layer layers\.0\.spare"):
        linear_stages(model)


def test_every_fold_is_found(small_model):
    model = deployable(small_model(**KINDS["adapter"]), {"text": 8}, LogMel())
    actual = list(model.find_folds())
    assert len(actual) == 2 * 5 + 2
    assert {len(fold.linears) for fold in actual} == {1}
    for fold in actual:
        source, linear = model.get_submodule(fold.source), model.get_submodule(fold.linears[0])
        width = len(source.weight) if fold.part is None else len(source.weight) // fold.part[1]
        assert width == linear.in_features


@torch.inference_mode()
def test_example_inputs(model):
    inputs, lengths = model.example_inputs(2, 64)
    assert inputs.shape == (2, 64, 160)
    assert lengths.tolist() == [128, 66]
    (logits,) = model(inputs, lengths)
    assert logits.isfinite().all()


def test_graphs_keep_one_index_and_any_length(model, inputs):
    """The relative index is computed once for all layers, and a traced graph computes other lengths as the model."""
    example = model.example_inputs(2, model.example_frames)
    batch = torch.export.Dim("batch", min=1, max=1024)
    frames = torch.export.Dim("frames", min=model.fewest_dynamic_frames, max=1 << 20)
    shapes = {"inputs": {0: batch, 1: frames}, "lengths": {0: batch}}
    exported = torch.export.export(model, example, dynamic_shapes=shapes)
    operators = [str(node.target) for node in exported.graph.nodes]
    relative = 0 if model.distances is None else 1
    assert sum(name.startswith("aten.clamp") for name in operators) == relative
    assert sum(name.startswith("aten.gather") for name in operators) == 2 * relative
    traced = torch.jit.trace(model, example, check_trace=False)
    with torch.inference_mode():
        (expected,) = model(inputs, LENGTHS)
        for graph in (exported.module(), traced):
            torch.testing.assert_close(graph(inputs, LENGTHS)[0], expected, atol=1e-5, rtol=0)

"""4-bit weights multiplied out before compiling: the same integers, and the same logits from the cache."""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as op

from qasr import load
from qasr.runtimes.openvino.weights import multiplied_out, multiply_out


def four_bit_model(codes, multiples):
    values = op.parameter([-1, codes[0].size], np.float32, name="values")
    eight = op.multiply(op.convert(op.constant(codes, dtype=ov.Type.i4), "i8"), op.constant(multiples))
    stored = op.convert(op.reshape(eight, op.constant(np.array([codes.shape[0], codes[0].size])), False), "f32")
    scale = op.constant(np.full((codes.shape[0], 1), 0.5, np.float32))
    return ov.Model([op.matmul(values, op.multiply(stored, scale), False, True)], [values], "m")


def test_integers_are_multiplied_out():
    codes = np.array([[[-8, 7, 0], [1, -1, 3]], [[5, -5, 2], [-3, 4, 6]]], np.int8)
    multiples = np.array([[[15], [2]], [[1], [7]]], np.int8)
    model = four_bit_model(codes, multiples)
    assert multiply_out(model) == 1
    types = [node.get_element_type() for node in model.get_ops() if node.get_type_name() == "Constant"]
    assert ov.Type.i4 not in types
    (whole,) = (node for node in model.get_ops() if node.get_type_name() == "Constant" and node.data.dtype == np.int8)
    assert whole.data.tolist() == [[-120, 105, 0, 2, -2, 6], [5, -5, 2, -21, 28, 42]]


def test_a_model_without_them_stays():
    values = op.parameter([2], np.float32, name="values")
    assert multiply_out(ov.Model([op.relu(values)], [values], "m")) == 0


def test_kept_once_below_the_cache(tmp_path):
    path = tmp_path / "openvino_model.xml"
    random = np.random.default_rng(0)
    ov.save_model(
        four_bit_model(random.integers(-8, 8, (4, 2, 8)).astype(np.int8), np.full((4, 2, 1), 3, np.int8)), path
    )
    core, cache = ov.Core(), tmp_path / "cache"
    assert isinstance(multiplied_out(core, path, None), ov.Model)
    kept = multiplied_out(core, path, cache)
    assert kept == cache / "int8" / "openvino_model.xml"
    assert sorted(entry.name for entry in cache.rglob("*")) == ["int8", "openvino_model.bin", "openvino_model.xml"]
    before = kept.stat().st_mtime_ns
    assert multiplied_out(core, path, cache) == kept
    assert kept.stat().st_mtime_ns == before


def test_logits_do_not_depend_on_the_cache(exported, tmp_path, speechlike):
    folder, clip = exported("openvino-w4a8").folder, speechlike(2.0)
    texts = []
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        with load(folder, cache=cache) as model:
            texts.append([result.levels for result in model.transcribe_batch([clip], sample_rate=16_000)])
    assert texts[0] == texts[1] == texts[2]

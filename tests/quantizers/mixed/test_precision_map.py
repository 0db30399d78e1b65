"""Maps as people write them, and what is said of those that are wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from qasr.models import open_checkpoint
from qasr.quantizers import Options, QuantizationError
from qasr.quantizers.mixed import Mixture, by_map, parse_map
from qasr.quantizers.mixed.precision_map import formats_by_layer


@pytest.fixture(scope="module")
def model():
    with open_checkpoint("reference") as checkpoint:
        return checkpoint.deployable()


def mixture(layers):
    return Mixture(formats=("fp16", "int8", "int4"), layers=layers, costs=None, cache=Path())


def test_typical(model):
    """Embeddings and LayerNorm float, attention and feed-forward in 8 bits."""
    found = formats_by_layer(model, mixture(parse_map("typical")))
    assert Counter(found.values()) == {"int8": 4 * 6, "fp16": 4 * 2 + 2}
    assert {name for name, form in found.items() if form == "fp16" and not name.startswith("layers.")} == {
        "projection",
        "heads",
    }
    assert all("convolution" in name for name, form in found.items() if form == "fp16" and name.startswith("layers."))


def test_the_first_that_matches_wins(model):
    found = formats_by_layer(model, mixture({"layers.0.*": "float", "*.attention.*": "int4", "layers.*": "int8"}))
    assert found["layers.0.attention.qkv"] == "fp16"
    assert found["layers.1.attention.qkv"] == "int4"
    assert found["layers.1.ffn1.output"] == "int8"
    assert found["heads"] == "fp16"


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"layers.9.*": "int8"},
            r"no layer matches 'layers.9.\*' of the precision map; layers are named like layers.0.ffn1",
        ),
        ({"layers.*": "int3"}, "no format 'int3' for this target; it has fp16, int8, int4, float"),
        (
            {"*_norm": "int8"},
            r"'\*_norm' of the precision map gives projection_norm the format int8, but LayerNorm layers",
        ),
    ],
)
def test_wrong_maps(model, layers, message):
    with pytest.raises(QuantizationError, match=message):
        formats_by_layer(model, mixture(layers))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"map.yaml, line \d: not YAML"),
        ("- int8", r"map.yaml: must map layers to formats"),
        ("", r"map.yaml: must map layers to formats"),
        ("layers.0: 8", r"map.yaml: 'layers.0': 8 is no layer and format"),
        ("a: !!python/object/apply:os.system ['true']", r"map.yaml, line 1: not YAML"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(QuantizationError, match=message):
        parse_map(str(tmp_path / "map.yaml"))


def test_absent_file():
    with pytest.raises(QuantizationError, match=r"nowhere\.yaml: no such precision map; presets are typical"):
        parse_map("nowhere.yaml")


def test_nothing_quantized(model, real_calibration):
    options = Options(mixture=mixture({"*": "float"}))
    with pytest.raises(QuantizationError, match="leaves every layer in float"):
        by_map(model, options, real_calibration)

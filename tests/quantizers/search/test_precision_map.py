"""Maps as people write them, and what is said of those that are wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from qasr.models import open_checkpoint
from qasr.quantizers import Options, QuantizationError, Quantized
from qasr.quantizers.search import Mixture, by_map, parse_map
from qasr.quantizers.search.precision_map import formats_by_layer


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
        ("'*': 2024-13-45", r"map.yaml: not YAML \(month must be in 1..12\)$"),
        ("'*': " + 5000 * "1", r"map.yaml: not YAML \(Exceeds the limit \(4300"),
        (10_000 * "[", r"map.yaml: not YAML \(maximum recursion depth"),
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


def test_names_that_no_file_has():
    with pytest.raises(QuantizationError, match=r"^n{256}: cannot be read \(File name too long\)$"):
        parse_map("n" * 256)
    with pytest.raises(QuantizationError, match=r"cannot be read \(embedded null byte\)$"):
        parse_map("a\0b")


def test_excluded_layers_stay_float(model):
    found = formats_by_layer(model, mixture(parse_map("typical")), ("*.attention.*", "layers.0.ffn1.*"))
    assert {form for name, form in found.items() if ".attention." in name or name.startswith("layers.0.ffn1")} == {
        "fp16"
    }
    assert Counter(found.values())["int8"] == 4 * 4 - 2
    with pytest.raises(QuantizationError, match=r"no layer matches the excluded layers.9.\*; layers are named like"):
        formats_by_layer(model, mixture(parse_map("typical")), ("layers.9.*",))


@pytest.mark.parametrize(
    ("exclude", "quantized"),
    [
        (Options().exclude, {"heads", "layers.0.attention.qkv"}),
        ((*Options().exclude, "*.attention.*"), {"heads"}),
        ((*Options().exclude, "heads"), {"layers.0.attention.qkv"}),
        (("*.attention.*",), {"heads"}),
    ],
)
def test_exclude_of_the_user_goes_before_the_map(make_model, real_calibration, exclude, quantized):
    """But the map goes before the layers that are left in float by default."""
    options = Options(exclude=exclude, mixture=mixture({"heads": "int8", "layers.0.attention.qkv": "int8"}))
    found = by_map(make_model(), options, real_calibration)
    assert {name for name, module in found.named_modules() if isinstance(module, Quantized)} == quantized
    assert {name for name, form in found.notes["formats"].items() if form != "fp16"} == quantized


def test_nothing_quantized(model, real_calibration):
    options = Options(mixture=mixture({"*": "float"}))
    with pytest.raises(QuantizationError, match="leaves every layer in float"):
        by_map(model, options, real_calibration)

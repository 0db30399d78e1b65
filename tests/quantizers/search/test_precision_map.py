"""Maps as people write them, and what is said of those that are wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from qasr.models import open_checkpoint
from qasr.quantizers import Quantization, QuantizationError
from qasr.quantizers.calibration import Work
from qasr.quantizers.layers.quantized import Quantized
from qasr.quantizers.search.mixed import quantize_mixed
from qasr.quantizers.search.mixture import Mixture
from qasr.quantizers.search.precision_map import formats_by_layer, parse_map


@pytest.fixture(scope="module")
def model():
    with open_checkpoint("reference") as checkpoint:
        return checkpoint.deployable()


def mixture(layers):
    return Mixture(formats=("fp16", "int8", "int4"), layers=layers, costs=None, cache=Path())


def test_typical(model):
    """Embeddings and LayerNorm float, attention and feed-forward in 8 bits."""
    actual = formats_by_layer(model, mixture(parse_map("typical")))
    assert Counter(actual.values()) == {"int8": 4 * 6, "fp16": 4 * 2 + 2}
    assert {name for name, form in actual.items() if form == "fp16" and not name.startswith("layers.")} == {
        "projection",
        "heads",
    }
    assert all("convolution" in name for name, form in actual.items() if form == "fp16" and name.startswith("layers."))


def test_the_first_that_matches_wins(model):
    actual = formats_by_layer(model, mixture({"layers.0.*": "float", "*.attention.*": "int4", "layers.*": "int8"}))
    assert actual["layers.0.attention.qkv"] == "fp16"
    assert actual["layers.1.attention.qkv"] == "int4"
    assert actual["layers.1.ffn1.output"] == "int8"
    assert actual["heads"] == "fp16"


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
    actual = formats_by_layer(model, mixture(parse_map("typical")), ("*.attention.*", "layers.0.ffn1.*"))
    assert {form for name, form in actual.items() if ".attention." in name or name.startswith("layers.0.ffn1")} == {
        "fp16"
    }
    assert Counter(actual.values())["int8"] == 4 * 4 - 2
    with pytest.raises(QuantizationError, match=r"no layer matches the excluded layers.9.\*; layers are named like"):
        formats_by_layer(model, mixture(parse_map("typical")), ("layers.9.*",))


@pytest.mark.parametrize(
    ("exclude", "chosen"),
    [
        ((), {"heads", "layers.0.attention.qkv"}),
        (("*.attention.*",), {"heads"}),
        (("heads",), {"layers.0.attention.qkv"}),
    ],
)
def test_exclude_of_the_user_goes_before_the_map(make_model, real_calibration, exclude, chosen):
    """But the map goes before the layers that are left in float by default."""
    model, mixed = make_model(), mixture({"heads": "int8", "layers.0.attention.qkv": "int8"})
    work = Work(calibration=real_calibration)
    options = quantize_mixed(model, Quantization(exclude=exclude), mixed, work, by_map=True)
    assert {name for name, module in model.named_modules() if isinstance(module, Quantized)} == chosen
    assert {name for name, form in options["formats"].items() if form != "fp16"} == chosen
    assert options["exclude"] == list(exclude)
    assert options["weights"] == "by layer"


def test_nothing_quantized(model, real_calibration):
    with pytest.raises(QuantizationError, match="leaves every layer in float"):
        work = Work(calibration=real_calibration)
        quantize_mixed(model, Quantization(), mixture({"*": "float"}), work, by_map=True)


def test_keys_of_the_family(model):
    """They may stand in a file too, beside globs."""
    actual = formats_by_layer(model, mixture({"layers.0.*": "float", "@attention": "int4", "@feed-forward": "int8"}))
    assert Counter(actual.values()) == {"int4": 3 * 2, "int8": 3 * 4, "fp16": 8 + 3 * 2 + 2}
    with pytest.raises(QuantizationError, match="no layer matches '@convolutions' of the precision map"):
        formats_by_layer(model, mixture({"@convolutions": "int8"}))


def test_no_audio(model):
    with pytest.raises(QuantizationError, match="mixed precision needs calibration audio"):
        quantize_mixed(model, Quantization(), mixture({"*": "int8"}), Work(), by_map=True)

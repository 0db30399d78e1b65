"""The Triton kernel: its arithmetic in the interpreter, its code for real GPUs, and what it refuses."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from qasr.gpu import KernelError
from qasr.gpu.layout import dequantize, pack

triton = pytest.importorskip("triton", reason="triton is not installed: pip install 'qasr[kernels]'")

SCHEMES = list(itertools.product((4, 2), (32, 64, 128), (False, True)))
SHAPES = [(1, 64, 128), (16, 32, 128), (37, 70, 256), (130, 33, 128)]
"""Rows, outputs, inputs: tiles that are full and tiles that are not."""


def case(rows, outputs, inputs, bits, group, zero_points, *, dtype=torch.float16, exact=True, bias=True):
    """Tensors of the right shapes. Exact ones are small integers and powers of two: no sum is rounded in float32."""
    made = torch.Generator().manual_seed(bits * group + rows)
    codes = torch.randint(0, 2**bits, (outputs, inputs), generator=made, dtype=torch.uint8)
    zero_point = torch.randint(0, 2**bits, (outputs, inputs // group), generator=made, dtype=torch.uint8)
    if exact:
        x = torch.randint(-4, 5, (rows, inputs), generator=made).to(dtype)
        scale = 0.5 ** torch.randint(3, 5, (outputs, inputs // group), generator=made)
        shift = torch.randint(-64, 65, (outputs,), generator=made) / 16
    else:
        x = torch.randn(rows, inputs, generator=made).to(dtype)
        scale = torch.rand(outputs, inputs // group, generator=made) * 0.1
        shift = torch.randn(outputs, generator=made)
    tensors = (x, pack(codes, bits), scale.to(dtype), zero_point if zero_points else None, shift if bias else None)
    return {"tensors": tensors, "bits": bits}


def reference(x, packed, scale, zero_point, bias, bits):
    product = x.double() @ dequantize(packed, scale, zero_point, bits).double().t()
    return product if bias is None else product + bias


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """Cases and what the kernel gave, computed by one child process: Triton decides when it is imported."""
    cases = {}
    for bits, group, zero_points in SCHEMES:
        for dtype in (torch.float16, torch.bfloat16):
            cases[bits, group, zero_points, dtype] = case(37, 70, 256, bits, group, zero_points, dtype=dtype)
        cases[bits, group, zero_points, "random"] = case(37, 70, 256, bits, group, zero_points, exact=False)
    for shape in SHAPES:
        cases[shape] = case(*shape, 4, 64, True)
    cases["no bias"] = case(5, 64, 64, 2, 32, False, bias=False)
    cases["no rows"] = case(0, 64, 64, 4, 32, False)
    deep = case(6, 64, 64, 4, 32, False)
    deep["tensors"] = (deep["tensors"][0].view(2, 3, 64), *deep["tensors"][1:])
    cases["two batch dimensions"] = deep
    # Columns of a wider tensor: x is not contiguous.
    narrow = case(6, 64, 64, 4, 32, False)
    narrow["tensors"] = (torch.cat([narrow["tensors"][0]] * 2, dim=1)[:, :64], *narrow["tensors"][1:])
    cases["not contiguous"] = narrow
    folder = tmp_path_factory.mktemp("interpreted")
    torch.save(cases, folder / "given.pt")
    script = Path(__file__).with_name("interpreted.py")
    command = [sys.executable, str(script), str(folder / "given.pt"), str(folder / "taken.pt")]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = torch.load(folder / "taken.pt")
    return {name: (cases[name], found[name]) for name in cases}


def check_bits(given, found):
    expected = reference(*given["tensors"], given["bits"])
    assert torch.equal(found, expected.to(found.dtype))
    assert found.abs().max() > 1


@pytest.mark.parametrize(("bits", "group", "zero_points"), SCHEMES)
def test_fp16_to_the_bit(interpreted, bits, group, zero_points):
    check_bits(*interpreted[bits, group, zero_points, torch.float16])


@pytest.mark.parametrize(("bits", "group", "zero_points"), SCHEMES)
def test_bf16_to_the_last_place(interpreted, bits, group, zero_points):
    """The sums are exact; the interpreter cuts them off where a GPU rounds."""
    given, found = interpreted[bits, group, zero_points, torch.bfloat16]
    expected = reference(*given["tensors"], given["bits"])
    assert found.dtype == torch.bfloat16
    assert bool(((found.double() - expected).abs() <= expected.abs() * 2.0**-7).all())


@pytest.mark.parametrize(("bits", "group", "zero_points"), SCHEMES)
def test_any_values(interpreted, bits, group, zero_points):
    given, found = interpreted[bits, group, zero_points, "random"]
    expected = reference(*given["tensors"], given["bits"])
    assert float((found.double() - expected).norm() / expected.norm()) < 5e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(interpreted, shape):
    given, found = interpreted[shape]
    assert found.shape == shape[:2]
    check_bits(given, found)


def test_no_bias(interpreted):
    check_bits(*interpreted["no bias"])


def test_forms_of_x(interpreted):
    assert interpreted["no rows"][1].shape == (0, 64)
    given, found = interpreted["two batch dimensions"]
    assert found.shape == (2, 3, 64)
    check_bits(given, found)
    assert torch.equal(interpreted["not contiguous"][1], found.view(6, 64))


@pytest.mark.parametrize(("capability", "tensor_cores"), [(80, "mma.sync"), (90, "wgmma"), (120, "mma.sync")])
@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_compiles_for_gpus(monkeypatch, tmp_path, capability, tensor_cores, dtype):
    """The compiler needs no GPU. Tensor cores are used, no code is converted to a float, and no register is spilled."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from qasr.gpu.nbits_matmul import TILES, kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    tile = TILES[8]
    types = {"x": f"*{dtype}", "packed": "*u8", "scale": f"*{dtype}", "zero_point": "*u8", "bias": "*fp32"}
    types |= {"y": f"*{dtype}", "M": "i32", "N": "i32", "K": "i32"}
    for bits in (4, 2):
        constants = {"ROWS": 512, "BITS": bits, "GROUP": 64, "ZERO_POINT": True, "BIAS": True, **tile.kwargs}
        source = ASTSource(
            fn=kernel,
            signature=types | dict.fromkeys(constants, "constexpr"),
            constexprs=constants,
            attrs={(place,): [["tt.divisibility", 16]] for place in (0, 1, 2, 3, 4, 5, 7, 8)},
        )
        options = {"num_warps": tile.num_warps, "num_stages": tile.num_stages}
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
        code = compiled.asm["ptx"]
        assert tensor_cores in code
        assert not re.search(r"cvt\.rn\.(f16|f32|bf16)\.[us]\d", code)
        (tmp_path / "kernel.cubin").write_bytes(compiled.asm["cubin"])
        dump = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        used = subprocess.run(
            [dump, "-res-usage", tmp_path / "kernel.cubin"], capture_output=True, text=True, check=True
        )
        assert "STACK:0 " in used.stdout
        assert "LOCAL:0 " in used.stdout


def test_tiles_fit_groups_and_rows():
    from qasr.gpu.nbits_matmul import TILES, fitting

    for group, rows in itertools.product((32, 64, 128), (1, 16, 64, 512, 4096)):
        left = fitting(list(TILES), {"GROUP": group, "ROWS": rows})
        assert left, (group, rows)
        assert all(group % tile.kwargs["BLOCK_K"] == 0 for tile in left)
        assert max(tile.kwargs["BLOCK_M"] for tile in left) <= max(16, rows)


def test_shape_without_running():
    from torch._subclasses import FakeTensorMode

    from qasr.gpu.nbits_matmul import _launch

    with FakeTensorMode():
        x = torch.empty(5, 64, dtype=torch.bfloat16)
        packed, scale = torch.empty(96, 32, dtype=torch.uint8), torch.empty(96, 2, dtype=torch.bfloat16)
        y = _launch(x, packed, scale, None, None, 4)
    assert (y.shape, y.dtype) == ((5, 96), torch.bfloat16)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ("bits", 3, "weights of 3 bits; this kernel takes 4 or 2"),
        (0, lambda x: x.float(), "x is torch.float32; this kernel takes torch.float16 or torch.bfloat16"),
        (2, lambda scale: scale.float(), "scale is torch.float32 and x torch.float16; convert it once"),
        (2, lambda scale: scale.repeat(1, 2), r"scale \(64, 8\) for 128 inputs; groups have 32, 64, 128 of them"),
        (2, lambda scale: scale[:, 0], r"scale \(64,\) for 128 inputs"),
        (1, lambda packed: packed[:, :5], r"packed is torch.uint8 \(64, 5\); 4 bits need torch.uint8 \(64, 64\)"),
        (3, lambda zero_point: zero_point.int(), r"zero_point is torch.int32 \(64, 4\); it must be uint8 as scale"),
        (4, lambda bias: bias[:3], r"bias is \(3,\); it must be \(64,\)"),
        (1, lambda packed: packed.to("meta"), "tensors on cpu and meta; they must be on one device"),
        (None, None, "x is on cpu; this kernel needs an NVIDIA GPU"),
    ],
)
def test_refuses(place, change, message):
    from qasr.gpu.nbits_matmul import nbits_matmul

    given = case(3, 64, 128, 4, 32, True)
    tensors, bits = list(given["tensors"]), given["bits"]
    if place == "bits":
        bits = change
    elif place is not None:
        tensors[place] = change(tensors[place])
    with pytest.raises(KernelError, match=message):
        nbits_matmul(*tensors, bits=bits)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no NVIDIA GPU")
@pytest.mark.parametrize(("bits", "group", "zero_points"), SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_on_a_gpu(bits, group, zero_points, dtype, shape):
    from qasr.gpu.nbits_matmul import nbits_matmul

    given = case(*shape, bits, group, zero_points, dtype=dtype)
    tensors = [None if tensor is None else tensor.cuda() for tensor in given["tensors"]]
    check_bits(given, nbits_matmul(*tensors, bits=bits).cpu())

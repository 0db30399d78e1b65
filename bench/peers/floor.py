"""The int8 floor of a CPU: how fast libraries multiply integer matrices of a model's shapes, and nothing else.

It is measured like the candidates, in its own process and in every round, so that its rates follow the machine's speed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import first_line

Shape = tuple[int, int, int]
"""Rows, inner width and columns of a product."""

Product = Callable[[], Any]
"""Multiplies uint8 (rows, inner) by int8 (inner, columns) once."""

FRAMES_PER_SECOND = 50

_FASTEST = "onednn"
ALL_LAYERS = f"torch {_FASTEST}, all layers"

_SECONDS_EACH = 0.06
_SCALE, _ZERO_POINT = 0.02, 128


def shapes_of(checkpoint: Path, seconds: Sequence[float]) -> list[Shape]:
    """The products of one conformer layer of a stock checkpoint for clips of ``seconds``, and one of cubic shape."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    hidden, intermediate = config["hidden_size"], config["intermediate_size"]
    shapes = [(hidden, hidden, hidden)]
    for rows in (round(FRAMES_PER_SECOND * duration) for duration in seconds):
        shapes += [(rows, hidden, intermediate), (rows, intermediate, hidden), (rows, hidden, 3 * hidden)]
    return shapes


def layers_of(checkpoint: Path, seconds: float) -> list[Shape]:
    """Every product of a stock checkpoint's conformer layers, in order, for a clip of ``seconds``."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    rows, hidden, intermediate = round(FRAMES_PER_SECOND * seconds), config["hidden_size"], config["intermediate_size"]
    feed_forward = [(rows, hidden, intermediate), (rows, intermediate, hidden)]
    attention = [(rows, hidden, 3 * hidden), (rows, hidden, hidden)]
    convolution = [(rows, hidden, 2 * hidden), (rows, hidden, hidden)]
    return int(config["num_hidden_layers"]) * [*feed_forward, *attention, *convolution, *feed_forward]


class Floor:
    """Products of all shapes by all installed libraries, and the sequence of products of a whole model.

    The weights of a single product stay in the caches in a loop; those of a model do not. ``layers`` is therefore the
    model's sequence of products, each with its own weights, computed by the fastest library.
    """

    def __init__(self, shapes: list[Shape], layers: list[Shape], threads: int) -> None:
        self.missing: dict[str, str] = {}
        """Libraries that cannot be measured, with the reason."""
        self._products: dict[tuple[str, Shape], Product] = {}
        self._layers: list[Product] = []
        self._operations = sum(2.0 * rows * inner * columns for rows, inner, columns in layers)
        rng = np.random.default_rng(0)
        for shape in shapes:
            rows, inner, columns = shape
            left = rng.integers(0, 256, (rows, inner), np.uint8)
            right = rng.integers(-127, 128, (inner, columns), np.int8)
            for name, make in _LIBRARIES.items():
                if name in self.missing:
                    continue
                try:
                    for kind, product in make(left, right, threads):
                        self._products[f"{name} {kind}", shape] = product
                except Exception as error:  # each library has its own exceptions
                    self.missing[name] = f"{type(error).__name__}: {first_line(error)}"
        if "torch" not in self.missing:
            lefts: dict[tuple[int, int], NDArray[np.uint8]] = {}
            for rows, inner, columns in layers:
                left = lefts.setdefault((rows, inner), rng.integers(0, 256, (rows, inner), np.uint8))
                right = rng.integers(-127, 128, (inner, columns), np.int8)
                self._layers += [product for kind, product in _torch(left, right, threads) if kind == _FASTEST]

    def rates(self) -> dict[str, float]:
        """Best rate of each library and shape in integer operations per second (a multiply-add is two)."""
        rates = {}
        for (name, shape), product in self._products.items():
            rows, inner, columns = shape
            rates[f"{name} {rows}x{inner}x{columns}"] = 2.0 * rows * inner * columns / _shortest(product)
        if self._layers:
            started = time.perf_counter()
            for product in self._layers:
                product()
            rates[ALL_LAYERS] = self._operations / (time.perf_counter() - started)
        return rates


def _shortest(product: Product) -> float:
    product()
    shortest, end = float("inf"), time.perf_counter() + _SECONDS_EACH
    while (started := time.perf_counter()) < end:
        product()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest


def _onnxruntime(left: NDArray[np.uint8], right: NDArray[np.int8], threads: int) -> Iterator[tuple[str, Product]]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    for operator in ("MatMulIntegerToFloat", "QLinearMatMul"):
        session = onnxruntime.InferenceSession(
            _onnx_product(operator, right), settings, providers=["CPUExecutionProvider"]
        )
        binding = session.io_binding()
        binding.bind_cpu_input("left", left)
        binding.bind_output("product")
        yield operator, partial(session.run_with_iobinding, binding)


def _onnx_product(operator: str, right: NDArray[np.int8]) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    values = {
        "right": right,
        "scale": np.float32(_SCALE),
        "left_zero": np.uint8(_ZERO_POINT),
        "right_zero": np.int8(0),
        "product_scale": np.float32(_SCALE * right.shape[0]),
    }
    if operator == "QLinearMatMul":
        inputs = ["left", "scale", "left_zero", "right", "scale", "right_zero", "product_scale", "left_zero"]
        domain, element = "", TensorProto.UINT8
    else:
        inputs = ["left", "right", "scale", "scale", "left_zero", "right_zero"]
        domain, element = "com.microsoft", TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["product"], domain=domain)],
        "product",
        [helper.make_tensor_value_info("left", TensorProto.UINT8, ["rows", right.shape[0]])],
        [helper.make_tensor_value_info("product", element, ["rows", right.shape[1]])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items() if name in inputs],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()  # type: ignore[no-any-return]


def _openvino(left: NDArray[np.uint8], right: NDArray[np.int8], threads: int) -> Iterator[tuple[str, Product]]:
    import openvino as ov
    from openvino import opset13 as op

    def dequantized(integers: Any) -> Any:
        return op.multiply(op.convert(integers, "f32"), op.constant(np.float32(_SCALE)))

    values = op.parameter([-1, left.shape[1]], np.uint8)
    weight = op.constant(np.ascontiguousarray(right.T))
    product = op.matmul(dequantized(values), dequantized(weight), False, True)
    # OpenVINO's low-precision passes run only on graphs with a FakeQuantize; this one becomes the output's rounding.
    high = np.float32(127 * _SCALE)
    low = np.float32(-128 * _SCALE)
    rounded = op.fake_quantize(product, low, high, low, high, 256)
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    compiled = ov.Core().compile_model(ov.Model([rounded], [values]), "CPU", settings)
    information = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    kernels = [
        info["primitiveType"].astype(str) for info in information if info["layerType"].astype(str) == "FullyConnected"
    ]
    if not all(kernel.lower().endswith("i8") for kernel in kernels):
        raise RuntimeError(f"multiplies in {', '.join(kernels)}")
    request = compiled.create_infer_request()
    request.set_input_tensor(ov.Tensor(left))
    yield "FullyConnected", request.infer


def _torch(left: NDArray[np.uint8], right: NDArray[np.int8], threads: int) -> Iterator[tuple[str, Product]]:
    import warnings

    import torch

    warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
    torch.set_num_threads(threads)
    values = torch._make_per_tensor_quantized_tensor(torch.from_numpy(left), _SCALE, _ZERO_POINT)
    columns = right.shape[1]
    weight = torch._make_per_channel_quantized_tensor(
        torch.from_numpy(right).t().contiguous(),
        torch.full((columns,), _SCALE),
        torch.zeros(columns, dtype=torch.int64),
        0,
    )
    output_scale = _SCALE * right.shape[0]
    for engine in sorted({"onednn", "fbgemm"} & set(torch.backends.quantized.supported_engines)):
        torch.backends.quantized.engine = engine
        packed = torch.ops.quantized.linear_prepack(weight, None)
        yield engine, partial(torch.ops.quantized.linear, values, packed, output_scale, _ZERO_POINT)


_LIBRARIES: dict[str, Callable[..., Iterator[tuple[str, Product]]]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "torch": _torch,
}

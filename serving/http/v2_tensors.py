"""Tensors of the Open Inference Protocol: JSON, and the binary extension (raw tensors behind the JSON)."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import RequestError

_TYPES: dict[str, Any] = {
    "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"), "INT32": np.dtype("<i4"), "INT64": np.dtype("<i8"),
}  # fmt: skip
_BYTES = "BYTES"
_LENGTH = struct.Struct("<I")

Array = NDArray[Any]


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[_Input]
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] = {}

    def wants(self, name: str) -> bool:
        """Whether an output is requested; all are by default."""
        return self.outputs is None or any(output.name == name for output in self.outputs)

    def is_binary(self, name: str) -> bool:
        """Whether an output shall be raw."""
        default = self.parameters.get("binary_data_output", False)
        for output in self.outputs or []:
            if output.name == name:
                return bool(output.parameters.get("binary_data", default))
        return bool(default)


def decode(body: bytes, json_length: str | None) -> tuple[InferRequest, dict[str, Array | list[bytes]]]:
    """The request, and its tensors by name. ``json_length`` is the header of the binary extension.

    Raises RequestError.
    """
    length = len(body) if json_length is None else int(json_length) if json_length.isdigit() else -1
    if not 0 <= length <= len(body):
        raise RequestError("inference-header-content-length is not the length of the JSON before the tensors")
    try:
        request = msgspec.json.decode(body[:length], type=InferRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"the request is no inference request ({error})") from None
    raw = memoryview(body)[length:]
    tensors: dict[str, Array | list[bytes]] = {}
    for one in request.inputs:
        size = one.parameters.get("binary_data_size")
        if size is None:
            tensors[one.name] = _from_json(one)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(raw):
            raise RequestError(f"{one.name}: binary_data_size is {size!r}, and {len(raw)} bytes are left")
        tensors[one.name] = _from_bytes(one, bytes(raw[:size]))
        raw = raw[size:]
    if raw:
        raise RequestError(f"{len(raw)} bytes after the last tensor")
    return request, tensors


def encode(
    request: InferRequest, model: str, outputs: Mapping[str, Array | Sequence[bytes]]
) -> tuple[bytes, dict[str, str]]:
    """The body and headers of an answer with the requested outputs. BYTES must be UTF-8. Raises RequestError."""
    unknown = [output.name for output in request.outputs or [] if output.name not in outputs]
    if unknown:
        raise RequestError(f"no output {unknown[0]!r}; available are {', '.join(outputs)}")
    described, raw = [], b""
    for name, values in outputs.items():
        if not request.wants(name):
            continue
        one: dict[str, Any] = {"name": name}
        if isinstance(values, np.ndarray):
            one |= {"datatype": _name_of(values), "shape": list(values.shape)}
            data = values.astype(values.dtype.newbyteorder("<")).tobytes()
        else:
            one |= {"datatype": _BYTES, "shape": [len(values)]}
            data = b"".join(_LENGTH.pack(len(value)) + value for value in values)
        if request.is_binary(name):
            one["parameters"] = {"binary_data_size": len(data)}
            raw += data
        elif isinstance(values, np.ndarray):
            one["data"] = values.ravel().tolist()
        else:
            one["data"] = [value.decode() for value in values]
        described.append(one)
    answer: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": described}
    if request.id is not None:
        answer["id"] = request.id
    text = msgspec.json.encode(answer)
    if not raw:
        return text, {"content-type": "application/json"}
    return text + raw, {"content-type": "application/octet-stream", "inference-header-content-length": str(len(text))}


def _from_json(one: _Input) -> Array | list[bytes]:
    """A tensor of JSON. Elements of BYTES are base64, since JSON has no bytes."""
    try:
        if one.datatype == _BYTES:
            return _checked(one, msgspec.convert(one.data, list[bytes]))
        array = np.array(one.data, dtype=_type(one)).ravel()
    except (ValueError, TypeError, OverflowError, msgspec.ValidationError) as error:
        raise RequestError(f"{one.name}: the data is not {one.datatype} ({error})") from None
    return _reshaped(one, array)


def _from_bytes(one: _Input, data: bytes) -> Array | list[bytes]:
    if one.datatype != _BYTES:
        kind = _type(one)
        if len(data) % kind.itemsize:
            raise RequestError(f"{one.name}: {len(data)} bytes are no {one.datatype}")
        return _reshaped(one, np.frombuffer(data, kind))
    elements, at = [], 0
    while at < len(data):
        size = _LENGTH.unpack_from(data, at)[0] if at + _LENGTH.size <= len(data) else len(data)
        at += _LENGTH.size
        if at + size > len(data):
            raise RequestError(f"{one.name}: an element ends behind the tensor")
        elements.append(data[at : at + size])
        at += size
    return _checked(one, elements)


def _reshaped(one: _Input, array: Array) -> Array:
    if any(size < 0 for size in one.shape) or math.prod(one.shape) != array.size:
        raise RequestError(f"{one.name}: {array.size} elements do not have the shape {one.shape}")
    return array.reshape(one.shape)


def _checked(one: _Input, elements: list[bytes]) -> list[bytes]:
    if math.prod(one.shape) != len(elements):
        raise RequestError(f"{one.name}: {len(elements)} elements do not have the shape {one.shape}")
    return elements


def _type(one: _Input) -> Any:
    if one.datatype not in _TYPES:
        raise RequestError(f"{one.name}: no datatype {one.datatype!r}; available are {', '.join([*_TYPES, _BYTES])}")
    return _TYPES[one.datatype]


def _name_of(values: Array) -> str:
    return next(name for name, kind in _TYPES.items() if kind == values.dtype.newbyteorder("<"))

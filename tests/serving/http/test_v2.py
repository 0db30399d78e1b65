"""The Open Inference Protocol over REST, in this process."""

from __future__ import annotations

import base64
import json
import struct

import msgspec
import numpy as np
import pytest

from qasr.artifacts import create
from qasr.audio import batch as make_batch
from qasr.audio import extract
from qasr.runtimes import load

URL = "/v2/models/toy/infer"


@pytest.fixture
def clips(write_audio, make_tones):
    return [write_audio(f"{text}.wav", make_tones(text)).read_bytes() for text in ("abcab", "cba")]


@pytest.fixture
def batch(toy, make_tones):
    """A padded batch, its lengths, and the frames that the model computes of it."""
    front_end = toy.manifest.front_end
    inputs = [extract(make_tones(text), front_end) for text in ("abcab", "cba")]
    padded, lengths = make_batch(inputs, front_end)
    with load(toy.folder, threads=1) as model:
        return padded, lengths, model.infer(inputs)


def tensor(name, datatype, shape, data=None, **parameters):
    one = {"name": name, "datatype": datatype, "shape": list(shape)}
    return one | ({"parameters": parameters} if parameters else {"data": data})


def packed(elements):
    return b"".join(struct.pack("<I", len(one)) + one for one in elements)


def post(run, serving, *requests, **options):
    """Answers to requests of (content, headers)."""

    async def test():
        async with serving(**options) as served:
            return [await served.client.post(URL, content=content, headers=headers) for content, headers in requests]

    return run(test())


def plain(request):
    return json.dumps(request).encode(), {"content-type": "application/json"}


def binary(request, *parts):
    head = json.dumps(request).encode()
    return head + b"".join(parts), {"inference-header-content-length": str(len(head))}


def outputs(answer):
    """Outputs by name as arrays or lists, from JSON or raw."""
    length = int(answer.headers.get("inference-header-content-length", len(answer.content)))
    body, raw, result = json.loads(answer.content[:length]), answer.content[length:], {}
    for one in body["outputs"]:
        size = one.get("parameters", {}).get("binary_data_size")
        if size is None:
            data = one["data"]
        else:
            data, raw = raw[:size], raw[size:]
        if one["datatype"] == "BYTES" and size is not None:
            elements = []
            while data:
                (count,) = struct.unpack_from("<I", data)
                elements.append(data[4 : 4 + count].decode())
                data = data[4 + count :]
            data = elements
        elif one["datatype"] != "BYTES":
            kind = {"INT32": "<i4", "INT64": "<i8", "FP32": "<f4"}[one["datatype"]]
            data = (np.array(data, kind) if size is None else np.frombuffer(data, kind)).reshape(one["shape"])
        result[one["name"]] = data
    assert not raw
    return body, result


def test_audio(run, serving, clips):
    encoded = [base64.b64encode(clip).decode() for clip in clips]
    in_json = {"id": "7", "inputs": [tensor("audio", "BYTES", [2], encoded)]}
    data = packed(clips)
    raw = {"inputs": [tensor("audio", "BYTES", [2], binary_data_size=len(data))], "outputs": [{"name": "text"}]}
    first, second = post(run, serving, plain(in_json), binary(raw, data))
    body, values = outputs(first)
    assert (body["id"], body["model_name"], body["model_version"]) == ("7", "toy", "1")
    assert values["text"] == ["abcab", "cba"]
    transcripts = [json.loads(one) for one in values["transcript"]]
    assert [one["audio"] for one in transcripts] == ["audio 0", "audio 1"]
    assert list(transcripts[0]["levels"]) == ["letters", "loud"]
    assert outputs(second)[1] == {"text": ["abcab", "cba"]}


def test_tensors(run, serving, batch):
    features, lengths, expected = batch
    in_json = [
        tensor("features", "FP32", features.shape, features.ravel().tolist()),
        tensor("lengths", "INT64", [2], lengths.tolist()),
    ]
    raw = [
        tensor("features", "FP32", features.shape, binary_data_size=features.nbytes),
        tensor("lengths", "INT64", [2], binary_data_size=16),
    ]
    parts = (features.tobytes(), lengths.astype("<i8").tobytes())
    answers = post(
        run,
        serving,
        plain({"inputs": in_json}),
        binary({"inputs": raw, "parameters": {"binary_data_output": True}}, *parts),
    )
    for answer in answers:
        _, values = outputs(answer)
        assert values["output_lengths"].tolist() == [len(frames) for frames in expected]
        for clip, frames in enumerate(expected):
            for index, level in enumerate(("letters", "loud")):
                np.testing.assert_array_equal(values[level][clip, : len(frames)], frames.best[index])
                np.testing.assert_allclose(
                    values[f"{level}.confidence"][clip, : len(frames)], frames.confidence[index], rtol=1e-5
                )


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ((b"{}", {}), "the request is no inference request"),
        ((b"\xff", {}), "the request is no inference request"),
        ((b"{}", {"inference-header-content-length": "99"}), "inference-header-content-length"),
        ((b"{}", {"inference-header-content-length": "-1"}), "inference-header-content-length"),
        (plain({"inputs": []}), "inputs must be audio (BYTES), or features (FP32) and lengths (INT64)"),
        (plain({"inputs": [tensor("audio", "BYTES", [1], ["no base64!"])]}), "audio: the data is not BYTES"),
        (plain({"inputs": [tensor("audio", "BYTES", [2], ["YQ=="])]}), "audio: 1 elements do not have the shape [2]"),
        (plain({"inputs": [tensor("audio", "BYTES", [0], [])]}), "audio must be BYTES with 1 to 64 elements"),
        (plain({"inputs": [tensor("audio", "FP32", [1], [1.0])]}), "audio must be BYTES with 1 to 64 elements"),
        (plain({"inputs": [tensor("audio", "FP16", [1], [1.0])]}), "audio: no datatype 'FP16'; available are FP32"),
        (plain({"inputs": [tensor("features", "FP32", [1], ["x"])]}), "features: the data is not FP32"),
        (plain({"inputs": [tensor("features", "FP32", [2, 2], [1.0])]}), "1 elements do not have the shape [2, 2]"),
        (plain({"inputs": [tensor("features", "FP32", [-1, -1], [1.0])]}), "do not have the shape [-1, -1]"),
        (
            binary({"inputs": [tensor("audio", "BYTES", [1], binary_data_size=9)]}, b"1234"),
            "audio: binary_data_size is 9, and 4 bytes are left",
        ),
        (
            binary({"inputs": [tensor("audio", "BYTES", [1], binary_data_size=4)]}, struct.pack("<I", 9)),
            "audio: an element ends behind the tensor",
        ),
        (
            binary({"inputs": [tensor("audio", "BYTES", [1], binary_data_size=2)]}, b"12"),
            "audio: an element ends behind the tensor",
        ),
        (binary({"inputs": []}, b"12"), "2 bytes after the last tensor"),
        (
            binary({"inputs": [tensor("features", "FP32", [1], binary_data_size=3)]}, b"123"),
            "features: 3 bytes are no FP32",
        ),
    ],
)
def test_wrong_requests(run, serving, request_, message):
    (answer,) = post(run, serving, request_)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("shape", "lengths", "value", "status", "message"),
    [
        ((1, 50, 7), [50], 0.0, 400, "features must be FP32 of shape (batch, frames, …)"),
        ((1, 50, 160), [101], 0.0, 400, "lengths must be 1 whole numbers from 2 to 100"),
        ((1, 50, 160), [0], 0.0, 400, "lengths must be 1 whole numbers from 2 to 100"),
        ((1, 50, 160), [10, 10], 0.0, 400, "lengths must be 1 whole numbers from 2 to 100"),
        ((0, 50, 160), [], 0.0, 400, "features must have 1 to 64 clips"),
        ((1, 50, 160), [50], np.nan, 400, "features holds NaN or infinite values"),
        ((1, 201, 160), [402], 0.0, 413, "an input lasts 4.0 s; this model takes 4 s at a time"),
    ],
)
def test_wrong_tensors(run, serving, shape, lengths, value, status, message):
    features = np.full(shape, value, np.float32)
    raw = [
        tensor("features", "FP32", shape, binary_data_size=features.nbytes),
        tensor("lengths", "INT64", [len(lengths)], lengths),
    ]
    (answer,) = post(run, serving, binary({"inputs": raw}, features.tobytes()))
    assert answer.status_code == status
    assert answer.json()["error"].startswith(message)


def test_outputs_that_are_unknown_and_audio_that_is_bad(run, serving, clips):
    data = packed(clips)
    good = [tensor("audio", "BYTES", [2], binary_data_size=len(data))]
    noise = packed([clips[0], b"noise" * 99])
    bad = [tensor("audio", "BYTES", [2], binary_data_size=len(noise))]
    unknown, damaged = post(
        run, serving, binary({"inputs": good, "outputs": [{"name": "words"}]}, data), binary({"inputs": bad}, noise)
    )
    assert (unknown.status_code, unknown.json()["error"]) == (
        400, "no output 'words'; available are text, transcript",
    )  # fmt: skip
    assert damaged.status_code == 422
    assert damaged.json()["error"].startswith("audio 1: is not audio")


def test_health_metadata_and_repository(run, serving, toy):
    async def test():
        async with serving() as served:
            get, post = served.client.get, served.client.post
            paths = ["", "/health/live", "/health/ready", "/models/toy", "/models/toy/versions/1/ready"]
            good = [await get(f"/v2{path}") for path in paths]
            none = [await get("/v2/models/none"), await get("/v2/models/toy/versions/2")]
            index = await post("/v2/repository/index")
            model = served.models.get("toy")
            same = await post("/v2/repository/models/toy/load")
            unchanged = served.models.get("toy") is model
            manifest = msgspec.structs.replace(toy.manifest, options={"seed": 1})
            data = toy.path("model.onnx").read_bytes()
            with create(toy.folder, force=True) as staging:
                (staging.folder / "model.onnx").write_bytes(data)
                staging.publish(manifest)
            again = await post("/v2/repository/models/toy/load")
            changed = served.models.get("toy") is not model
            served.models.draining = True
            unready = [await get(path) for path in ("/v2/health/ready", "/v2/models/toy/ready")]
            return good, none, index, [same, again], [unchanged, changed], unready

    good, none, index, loads, exchanged, unready = run(test())
    assert [answer.status_code for answer in good] == [200] * 5
    assert good[0].json()["extensions"] == ["binary_tensor_data"]
    metadata = good[3].json()
    assert [one["name"] for one in metadata["inputs"]] == ["audio", "features", "lengths"]
    assert metadata["inputs"][1]["shape"] == [-1, -1, 160]
    assert {"text", "transcript", "letters", "letters.confidence"} <= {one["name"] for one in metadata["outputs"]}
    assert [answer.status_code for answer in none] == [404, 404]
    assert index.json() == [{"name": "toy", "version": "1", "state": "READY"}]
    assert [answer.status_code for answer in loads] == [200, 200]
    assert exchanged == [True, True]
    assert [answer.status_code for answer in unready] == [503, 503]

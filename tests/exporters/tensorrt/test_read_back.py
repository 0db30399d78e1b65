"""What an engine's bytes, or its inspector, tell of the kernels in it."""

from __future__ import annotations

import json

from qasr.exporters.tensorrt import build as tensorrt_build
from qasr.exporters.tensorrt.read_back import read_back


def test_a_plan_without_a_program():
    assert read_back(b"ftrt nothing of the sort") == {}


def test_a_plan_by_hand():
    """Names are those of the last program before; a tensor may hold braces in its own fields."""
    plan = (
        b'junk\0tensor={ dims={ 1 2 } name="a" strides={ 2 1 } type=int8 } tensor={ name="w" type=int8 }\n'
        b'fully_connected={ name="p" output={"y"} input={"a" "w" "alpha"} stream=0 }\n'
        b'tensor={ name="a" type=half }\nfully_connected={ name="q" output={"y"} input={"a" "v"} }\n'
        b"function={ name=_gemm_mha_v2_0x05 fqn=x } function={ name=__myl_Add_0x1 }"
    )
    assert read_back(plan) == {
        "fused attention": 1,
        "fused pointwise": 1,
        "product half x unknown": 1,
        "product int8 x int8": 1,
    }


class FakeInspector:
    def get_engine_information(self, form):
        gemm = {"LayerType": "gemm", "Inputs": [{"Format/Datatype": "Int8"}, {"Format/Datatype": "Int8"}]}
        return json.dumps({"Layers": [gemm, gemm, "a name alone", {"LayerType": "softmax", "Inputs": []}]})


def test_data_centre_engines_are_inspected():
    class Engine:
        def create_engine_inspector(self):
            return FakeInspector()

    class Trt:
        class LayerInformationFormat:
            JSON = 1

        class Runtime:
            def __init__(self, logger):
                pass

            def deserialize_cuda_engine(self, engine):
                return Engine()

    assert tensorrt_build._inspected(Trt, None, b"") == {"gemm Int8 x Int8": 2, "softmax": 1}

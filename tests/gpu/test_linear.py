"""A model of transformers whose layers compute with packed weights, in Triton's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from qasr.artifacts import read
from qasr.runtimes import EngineOptions, OptionError, load_engine

for library in ("triton", "compressed_tensors"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install 'qasr[kernels,lowbit]'")

RUN = """
import json, sys
import numpy as np
from qasr.artifacts import read
from qasr.runtimes import EngineOptions, load_engine
features = np.random.default_rng(0).standard_normal((2, 24, 160)).astype(np.float32)
lengths = np.array([48, 34])
exact = load_engine(read(sys.argv[1]), EngineOptions()).infer(features, lengths)
engine = load_engine(read(sys.argv[1]), EngineOptions(precision="fp16"))
result = engine.infer(features, lengths)
errors = {
    level: float(np.linalg.norm(result[level][0] - value[0]) / np.linalg.norm(value[0]))
    for level, value in exact.items()
}
types = sorted({str(value.dtype) for value in result.values()})
print(json.dumps({"errors": errors, "kernels": engine.kernels(), "types": types}))
"""


def test_a_checkpoint_stays_packed(exported):
    folder = exported("hf-gptq").folder
    command = [sys.executable, "-c", RUN, str(folder)]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["kernels"] == {"NBitsLinear": 32, "float Linear": 12}
    assert result["types"] == ["float32"]
    assert len(result["errors"]) == 11
    assert all(1e-6 < error < 5e-3 for error in result["errors"].values())


def test_half_precision_needs_a_gpu(exported):
    artifact = read(exported("hf-gptq").folder)
    with pytest.raises(
        OptionError, match="precision 'fp16' needs an NVIDIA GPU; use --device cuda, --precision bf16, or none"
    ):
        load_engine(artifact, EngineOptions(precision="fp16"))
    with pytest.raises(OptionError, match="is computed in float32 here, so it takes no precision 'fp32'"):
        load_engine(artifact, EngineOptions(precision="fp32"))
    quanto = read(exported("hf-quanto-int8").folder)
    with pytest.raises(
        OptionError, match="optimum-quanto is computed in float32 here, so it takes no precision 'bf16'"
    ):
        load_engine(quanto, EngineOptions(precision="bf16"))

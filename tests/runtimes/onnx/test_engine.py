"""ONNX Runtime with several callers."""

from __future__ import annotations

from qasr.runtimes import EngineOptions, Model, load, load_engine


def test_streams_share_the_threads(toy, make_tones):
    texts = ["abc", "cabcab", "bca", "acbbca", "cab"]
    engine = load_engine(toy, EngineOptions(threads=2, streams=2))
    assert engine.session.get_session_options().intra_op_num_threads == 1
    with Model(toy, engine, streams=2) as model:
        results = model.transcribe_batch([make_tones(text) for text in texts], batch_seconds=0.1, sample_rate=16_000)
    assert [result.text for result in results] == texts
    with load(toy.folder, threads=2) as model:
        assert model._engine.session.get_session_options().intra_op_num_threads == 2

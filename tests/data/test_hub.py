"""Hugging Face datasets: stored, as parquet, with other names of columns."""

from __future__ import annotations

import shutil

import pytest
import soundfile

from qasr.data import DataError, labelled, load_data
from qasr.errors import MissingExtraError

datasets = pytest.importorskip("datasets")

# Two groups as obadx/qdat_bench stores them.
_PLAIN = {
    "phonemes": "قَ", "hams_or_jahr": "jahr", "shidda_or_rakhawa": "shadeed", "tafkheem_or_taqeeq": "mofakham",
    "itbaq": "monfateh", "safeer": "no_safeer", "qalqla": "not_moqalqal", "tikraar": "not_mokarar",
    "tafashie": "not_motafashie", "istitala": "not_mostateel", "ghonna": "not_maghnoon",
}  # fmt: skip
_NASAL = _PLAIN | {"phonemes": "ننن", "shidda_or_rakhawa": "between", "ghonna": "maghnoon"}


@pytest.fixture
def sounds(tmp_path, make_tones):
    """Two wav files as bytes."""
    found = []
    for number, text in enumerate(("abc", "cab")):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, make_tones(text), 16_000)
        found.append(path.read_bytes())
    return found


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def stored(sounds, **columns):
    """A dataset with encoded audio inside; nothing but qasr decodes it."""
    rows = {"audio": [{"bytes": data, "path": f"{place}.wav"} for place, data in enumerate(sounds)], **columns}
    return datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio())


def test_a_folder_of_save_to_disk(sounds, scratch, tmp_path):
    dataset = stored(sounds, phonemes=["abc", "cab"], reciter=[1, 2])
    datasets.DatasetDict({"test": dataset, "train": dataset}).save_to_disk(tmp_path / "hub")
    data = load_data(tmp_path / "hub", scratch)
    assert [recording.labels for recording in data.recordings] == [{"phonemes": "abc"}, {"phonemes": "cab"}]
    assert [recording.audio.read_bytes() for recording in data.recordings] == sounds
    # Not the scratch folder's path, which is another in every run.
    assert [recording.name for recording in data.recordings] == ["000000.wav", "000001.wav"]
    assert data.seconds == pytest.approx(2.0)


def test_a_folder_as_on_the_hub(sounds, scratch, tmp_path):
    """Parquet files, as a download of obadx/qdat_bench leaves them: one split, its own names, sifat by group."""
    folder = tmp_path / "qdat_bench"
    (folder / "data").mkdir(parents=True)
    stored(
        sounds,
        id=["x", "y"],
        qalqalah=[1, 0],
        phonetic_transcript=["قَ ننن", "قَقَ"],
        sifat=[[_PLAIN, _NASAL], [_PLAIN, _PLAIN]],
    ).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    first, second = load_data(folder, scratch).recordings
    assert first.labels["phonemes"] == "قَ ننن"
    assert first.labels["ghonna"] == "[لا غنة][مغن]"
    assert first.labels["shidda_or_rakhawa"] == "[شديد][بين الشدة والرخاوة]"
    assert second.labels["ghonna"] == "[لا غنة][لا غنة]"
    assert {"phonemes", *_PLAIN} <= set(first.labels)
    assert first.audio.read_bytes() == sounds[0]


def test_an_id_on_the_hub(sounds, scratch, monkeypatch):
    asked = []

    def load_dataset(name, cache_dir):
        asked.append((name, cache_dir))
        return datasets.DatasetDict({"train": stored(sounds, sentence=["a b", "c"])})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = load_data("some-one/set-v1.0", scratch)
    assert asked == [("some-one/set-v1.0", None)]
    assert data.name == "some-one/set-v1.0"
    assert [recording.text for recording in data.recordings] == ["a b", "c"]


def test_audio_that_lies_elsewhere(sounds, scratch, tmp_path):
    """A column of paths that is not of the type audio."""
    rows = {"audio": [str(tmp_path / "1.wav"), str(tmp_path / "0.wav")], "text": ["cab", "abc"]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "paths")
    data = load_data(tmp_path / "paths", scratch)
    assert [recording.text for recording in data.recordings] == ["cab", "abc"]
    assert [recording.audio.read_bytes() for recording in data.recordings] == sounds[::-1]
    (tmp_path / "0.wav").unlink()
    for link in scratch.iterdir():
        link.unlink()
    with pytest.raises(DataError, match=r"paths, row 1: .*000001.wav: no such file"):
        load_data(tmp_path / "paths", scratch)


def test_the_hash_is_that_of_the_same_set_in_json_lines(sounds, scratch, tmp_path):
    stored(sounds, text=["abc", "cab"]).save_to_disk(tmp_path / "hub")
    lines = tmp_path / "data.jsonl"
    lines.write_text('{"audio": "0.wav", "text": "abc"}\n{"audio": "1.wav", "text": "cab"}\n')
    assert load_data(tmp_path / "hub", scratch).sha256 == load_data(lines, scratch).sha256


def test_bad_datasets(sounds, scratch, tmp_path):
    whole = stored(sounds, text=["abc", "cab"])

    def refused(dataset, message):
        shutil.rmtree(tmp_path / "bad", ignore_errors=True)
        dataset.save_to_disk(tmp_path / "bad")
        with pytest.raises(DataError, match=message):
            load_data(tmp_path / "bad", scratch)

    refused(whole.remove_columns("audio"), "bad: 0 audio columns among text")
    again = [{"bytes": data, "path": "x.wav"} for data in sounds]
    refused(
        stored(sounds, other=again).cast_column("other", datasets.Audio()), "bad: 2 audio columns among audio, other"
    )
    refused(whole.remove_columns("text"), "bad, row 0: no label")
    refused(
        stored(sounds, sifat=[[_PLAIN], [_PLAIN | {"ghonna": "loud"}]]),
        "bad, row 1: quran-transcript has no sifa 'loud'",
    )
    refused(datasets.DatasetDict({"a": whole, "b": whole}), "bad: has the splits a, b, none of them called test or")
    features = datasets.Features({"audio": datasets.Audio(), "text": datasets.Value("string")})
    mute = datasets.Dataset.from_dict({"audio": [None], "text": ["a"]}, features=features)
    refused(mute, "bad, row 0: no audio")


def test_what_datasets_cannot_open(scratch, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "data.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"bad: datasets cannot open it \("):
        load_data(tmp_path / "bad", scratch)


def test_audio_that_is_none(scratch, tmp_path):
    """A column called audio that holds something else, and names that no file can have."""
    (tmp_path / "bad").mkdir()
    rows = {"audio": [[0.1, 0.2], [0.3]], "text": ["a", "b"]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "bad" / "data.parquet")
    with pytest.raises(DataError, match=r"bad: datasets cannot read 'audio' as audio \(Couldn't cast array"):
        load_data(tmp_path / "bad", scratch)
    features = datasets.Features({"audio": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}})
    long = datasets.Dataset.from_dict({"audio": [{"bytes": b"", "path": f"a.{'b' * 300}"}]}, features=features)
    long.save_to_disk(tmp_path / "long")
    with pytest.raises(
        DataError, match=r"long, row 0: its audio cannot be written to .*scratch \(File name too long\)"
    ):
        load_data(tmp_path / "long", scratch)


def test_without_datasets(scratch, monkeypatch):
    monkeypatch.setattr(labelled, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"which opens obadx/qdat_bench, .*: pip install 'qasr\[datasets\]'"):
        load_data("obadx/qdat_bench", scratch)

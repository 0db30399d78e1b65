"""Compares qasr with the package quran-muaalem on a checkpoint: logits, phoneme strings and sifat ids.

A script, not a test: it needs a second environment with the transformers that upstream was written for.

    python tests/upstream/parity.py --venv /tmp/upstream       # makes that environment first
    python tests/upstream/parity.py --python /path/to/python   # takes one that holds quran-muaalem and soundfile

Exits with 1 where a logit differs by more than the tolerance, or a decoded label at all. One known difference is
counted apart: upstream's decoder loses a label whose only frame is the clip's last one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers

from qasr import audio, reference
from qasr.models import open_checkpoint
from qasr.runtimes.ctc.decoding import collapse, reduce_logits

PACKAGES = ("torch==2.13.0", "transformers==4.57.6", "quran-muaalem==0.2.2", "soundfile")
TOLERANCE = 1e-4
CLIPS = 8


def main() -> None:
    options = _options()
    python = options.python or _environment(options.venv)
    cases = _cases(options.clips)
    with tempfile.TemporaryDirectory() as folder:
        theirs, report = _run_theirs(python, options.checkpoint, cases, Path(folder))
    print(f"upstream: {report['versions']}")
    print(f"ours: torch {torch.__version__}, transformers {transformers.__version__}, {len(cases)} batches")
    failures = 0
    for name, ours in _run_ours(options.checkpoint, cases, report["vocabulary"]).items():
        failures += _compare(name, ours, theirs, report["decoded"])
    print("PASS" if not failures else f"FAIL: {failures} comparisons")
    raise SystemExit(failures > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--venv", type=Path, help="folder in which to make upstream's environment")
    where.add_argument("--python", type=Path, help="Python of an environment that has quran-muaalem already")
    parser.add_argument("--checkpoint", type=Path, default=reference.CHECKPOINT, help="folder of a checkpoint")
    parser.add_argument("--clips", type=int, default=CLIPS, help="clips of the evaluation set to take")
    return parser.parse_args()


def _environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def _cases(count: int) -> list[list[str]]:
    """Each clip alone, then all as one padded batch; spread over the set, so that lengths and voices differ."""
    rows = [json.loads(line) for line in reference.EVALUATION.read_text(encoding="utf-8").splitlines()]
    # An odd step alternates between the two voices.
    step = max(1, len(rows) // count - 1) | 1
    files = [str(reference.EVALUATION.parent / row["audio"]) for row in rows[::step][:count]]
    return [*([file] for file in files), files]


def _run_theirs(python: Path, checkpoint: Path, cases: list[list[str]], folder: Path) -> tuple[Any, dict[str, Any]]:
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    script = Path(__file__).with_name("theirs.py")
    output = folder / "theirs.npz"
    # -P keeps this repository's folders out of upstream's import path.
    subprocess.run([python, "-P", script, checkpoint.resolve(), folder / "cases.json", output], check=True, cwd=folder)
    with np.load(output) as stored:
        arrays = dict(stored)
    return arrays, json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))


def _run_ours(checkpoint: Path, cases: list[list[str]], vocabulary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Results of the stock class behind transformers' extractor, and of the deployable model behind our features."""
    with open_checkpoint(str(checkpoint)) as opened:
        stock, rewritten, levels = opened.stock(), opened.deployable(), opened.levels
        settings = audio.LogMel.from_json(opened.features)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(checkpoint)
    stored = {level: dict(enumerate(vocabularies.tokens)) for level, vocabularies in levels.items()}
    if stored != {level: {int(key): token for key, token in ids.items()} for level, ids in vocabulary.items()}:
        raise SystemExit("FAIL: upstream's tokenizer reads another vocabulary from the checkpoint than qasr does")

    def by_stock(waves: list[Any]) -> tuple[Any, Any, dict[str, Any]]:
        inputs = extractor(waves, sampling_rate=16_000, return_tensors="pt")
        lengths = inputs["attention_mask"].sum(-1).numpy()
        return inputs["input_features"].numpy(), lengths, stock(**inputs).logits

    def by_rewritten(waves: list[Any]) -> tuple[Any, Any, dict[str, Any]]:
        features, lengths = audio.batch([audio.extract(wave, settings) for wave in waves], settings)
        outputs = rewritten(torch.from_numpy(features), torch.from_numpy(lengths))
        return features, settings.full_frames(lengths), dict(zip(rewritten.levels, outputs, strict=True))

    results: dict[str, dict[str, Any]] = {}
    for name, forward in (("stock class", by_stock), ("deployable model, own features", by_rewritten)):
        results[name] = {}
        for number, files in enumerate(cases):
            with torch.inference_mode():
                features, lengths, outputs = forward([soundfile.read(file, dtype="float32")[0] for file in files])
            logits = {level: values.numpy() for level, values in outputs.items()}
            for clip, length in enumerate(lengths):
                frames = reduce_logits(logits, clip, int(length), levels)
                ids, late = {}, {}
                for row, level in enumerate(levels):
                    blank = levels[level].blank
                    ids[level] = collapse(frames.best[row], frames.confidence[row], blank).ids.tolist()
                    late[level] = frames.best[row, -1] != blank and frames.best[row, -2] == blank
                results[name][f"{number}/{clip}"] = {
                    "features": features[clip, :length],
                    "logits": {level: values[clip, :length] for level, values in logits.items()},
                    "ids": ids,
                    "late": late,
                    "text": "".join(levels["phonemes"].tokens[index] for index in ids["phonemes"]),
                }
    return results


def _compare(name: str, ours: dict[str, Any], theirs: Any, decoded: list[dict[str, Any]]) -> int:
    """Print the largest differences per level and return how many comparisons failed."""
    largest: dict[str, float] = defaultdict(float)
    different: dict[str, int] = defaultdict(int)
    lost: dict[str, int] = defaultdict(int)
    texts = 0
    for entry in decoded:
        key = f"{entry['case']}/{entry['clip']}"
        mine = ours[key]
        for level, values in [("features", mine["features"]), *mine["logits"].items()]:
            other = theirs[f"{key}/{level}"]
            if other.shape != values.shape:
                raise SystemExit(f"FAIL: {name}, clip {key}, {level}: {values.shape} where upstream has {other.shape}")
            largest[level] = max(largest[level], float(np.abs(values - other).max()))
        for level, ids in entry["ids"].items():
            # Upstream's decoder loses a label whose only frame is the clip's last one, after a blank.
            expected = mine["ids"][level][: -1 if mine["late"][level] else None]
            lost[level] += mine["late"][level]
            different[level] += ids != expected
        texts += entry["text"] != (mine["text"][:-1] if mine["late"]["phonemes"] else mine["text"])
    print(f"\n{name}: {len(decoded)} clips, {texts} phoneme strings differ")
    print(f"  {'':<20} {'largest difference':<20} {'ids differ':<12} last label lost by upstream's decoder")
    for level, value in largest.items():
        counts = "" if level == "features" else f"{different[level]:<12} {lost[level]}"
        print(f"  {level:<20} {value:<20.2e} {counts}".rstrip())
    failed = sum(value > TOLERANCE for level, value in largest.items() if level != "features")
    return failed + sum(different.values()) + texts


if __name__ == "__main__":
    main()

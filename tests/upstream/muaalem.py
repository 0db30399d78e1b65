"""Compares ``qasr.muaalem`` with the package quran-muaalem: phonemes, groups, ids, sifat and probabilities.

A script, not a test: it needs an environment with the transformers that upstream was written for.

    python tests/upstream/muaalem.py --python /path/to/python --artifact out/onnx-fp32

PYTHON has quran-muaalem 0.2.2, transformers 4.57 and soundfile; the artifact is ``onnx-fp32`` of the bundled model.
Clips are given with the reference that they recite, and with wrong ones: a word missing, a word too many, a word
changed. Exits with 1 for a difference that is not one of upstream's faults:

- ``last frame``: its decoder loses a label whose only frame is the clip's last one, after a blank;
- ``edge``: it decodes the half-filled frame behind a clip with an odd number of 10 ms frames, whose probability then
  counts in the last token. (So do frames of silence behind the last word, which qasr leaves out: no fault of either.)
- ``probabilities``: where it aligns a level with the reference, it returns token ids in place of probabilities.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

RIGHT, WRONG = 48, 24
TOLERANCE = 1e-3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help="Python of the environment with quran-muaalem")
    parser.add_argument("--artifact", type=Path)
    parser.add_argument("--run", nargs=4, metavar=("SIDE", "MODEL", "CASES", "OUTPUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(*options.run)
        return 0
    from qasr import reference

    cases = make_cases(reference.EVALUATION)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
        sides = {
            "theirs": (str(options.python), str(reference.CHECKPOINT)),
            "ours": (sys.executable, str(options.artifact)),
        }
        results = {}
        for side, (python, model) in sides.items():
            output = folder / f"{side}.json"
            command = [python, __file__, "--run", side, model, str(folder / "cases.json"), str(output)]
            subprocess.run(command, check=True, cwd=folder)
            results[side] = json.loads(output.read_text(encoding="utf-8"))
    counts = Counter[str]()
    failures = 0
    for case, ours, theirs in zip(cases, results["ours"], results["theirs"], strict=True):
        for kind, text in compare(ours, theirs):
            counts[kind] += 1
            if kind == "difference":
                failures += 1
                print(f"{Path(case['audio']).name}, {case['kind']}: {text}")
        counts[f"clips, {case['kind']}"] += 1
        counts["clips with other counts of tokens than groups"] += theirs["aligned"]
    for name, count in sorted(counts.items()):
        print(f"{name}: {count}")
    print("PASS" if not failures else f"FAIL: {failures} differences")
    return int(failures > 0)


def make_cases(evaluation: Path) -> list[dict[str, str]]:
    """Clips with the text that is given as recited; texts that quran-transcript cannot phonetize are left out."""
    from qasr.recitation.labels import phonetize, vocabulary
    from qasr.recitation.levels import PHONEMES

    rows = [json.loads(line) for line in evaluation.read_text(encoding="utf-8").splitlines()]
    words = [row["uthmani"].split() for row in rows]
    cases: list[dict[str, str]] = []
    wanted = Counter({"right": RIGHT, "missing": WRONG // 3, "surplus": WRONG // 3, "changed": WRONG // 3})
    for row, own, other in zip(rows, words, [*words[1:], words[0]], strict=True):
        texts = {"right": own, "missing": own[:-1], "surplus": [*own, other[0]], "changed": [*own[:-1], other[-1]]}
        for kind, text in texts.items():
            labels = phonetize(" ".join(text))
            if labels is None or not set(labels.phonemes) <= set(vocabulary()[PHONEMES]) or not wanted[kind]:
                continue
            wanted[kind] -= 1
            cases.append({"audio": str(evaluation.parent / row["audio"]), "kind": kind, "text": " ".join(text)})
    return cases


def run(side: str, model: str, cases_file: str, output: str) -> None:
    """One side, in its own environment: a result for each case."""
    import soundfile
    from quran_transcript import MoshafAttributes, quran_phonetizer

    if side == "ours":
        from qasr.muaalem import Muaalem

        muaalem = Muaalem(model)
    else:
        import torch
        from quran_muaalem import Muaalem

        muaalem = Muaalem(model, dtype=torch.float32)
    moshaf = MoshafAttributes(
        rewaya="hafs", madd_monfasel_len=4, madd_mottasel_len=4, madd_mottasel_waqf=4, madd_aared_len=4
    )
    results = []
    for case in json.loads(Path(cases_file).read_text(encoding="utf-8")):
        wave, rate = soundfile.read(case["audio"], dtype="float32")
        script = quran_phonetizer(case["text"], moshaf, remove_spaces=True)
        (result,) = muaalem([wave], [script], sampling_rate=rate)
        groups = len(result.sifat)
        results.append(
            {
                "text": result.phonemes.text,
                "ids": result.phonemes.ids.tolist(),
                "probs": result.phonemes.probs.tolist(),
                "sifat": [asdict(sifa) for sifa in result.sifat],
                "aligned": groups != len(script.sifat),
            }
        )
    Path(output).write_text(json.dumps(results), encoding="utf-8")


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[str, str]]:
    """Each deviation with its kind."""
    found = []
    if ours["ids"] != theirs["ids"]:
        if ours["ids"][:-1] != theirs["ids"]:
            return [("difference", f"phonemes {ours['text']} and {theirs['text']}")]
        found.append(("last frame", "phonemes"))
    elif ours["text"] != theirs["text"]:
        found.append(("difference", "text of the phonemes"))
    last = len(ours["probs"]) - 1
    for index, (own, other) in enumerate(zip(ours["probs"], theirs["probs"], strict=False)):
        if abs(own - other) > TOLERANCE:
            kind = "edge" if index == last else "difference"
            found.append((kind, f"probability {index} of the phonemes: {own} and {other}"))
    for index, (own, other) in enumerate(zip(ours["sifat"], theirs["sifat"], strict=False)):
        following = ours["sifat"][index + 1 :]
        if own["phonemes_group"] != other["phonemes_group"]:
            if not found:
                found.append(("difference", f"groups {own['phonemes_group']} and {other['phonemes_group']}"))
            break
        for level, unit in own.items():
            if level != "phonemes_group":
                behind = not any(later[level] and later[level]["prob"] for later in following)
                found += compare_units(level, unit, other[level], behind=behind)
    return found


def compare_units(
    level: str, own: dict[str, Any] | None, other: dict[str, Any] | None, *, behind: bool
) -> list[tuple[str, str]]:
    """``behind`` is whether the token is the level's last."""
    if own is None or other is None:
        if own == other:
            return []
        # The label that the decoder lost is the level's last.
        return [("last frame" if other is None else "difference", f"{level}: {own} and {other}")]
    if (own["text"], own["idx"]) != (other["text"], other["idx"]):
        return [("difference", f"{level}: {own} and {other}")]
    if abs(own["prob"] - other["prob"]) > TOLERANCE:
        kind = "probabilities" if other["prob"] == other["idx"] else "edge" if behind else "difference"
        return [(kind, f"{level}: {own} and {other}")]
    return []


if __name__ == "__main__":
    sys.exit(main())

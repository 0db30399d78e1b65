"""Published predictions of qdat_bench give the published figures: ``python tests/upstream/qdat_bench.py FOLDER``.

FOLDER is a clone's folder of results: the annotations, ``*_predictions.jsonl``, and ``result_*_predictions.json``
beside them. Run by hand; the benchmark's files are not part of this project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qasr.bench.accuracy.predictions import score
from qasr.data.qdat_bench import read_annotations, read_predictions

TOLERANCE = 1e-9
# One name is misspelt there; two averages repeat figures of single measures.
OURS = {
    "avg_nromal_madd_rmse": "avg_normal_madd_rmse",
    "rmse_madd_aared": "madd_aared_len_rmse",
    "rmse_separate_madd": "separate_madd_rmse",
    "avg_per": "average_per",
}


def main(folder: Path) -> int:
    annotations = read_annotations(folder)
    files = sorted(folder.glob("*_predictions.jsonl"))
    worst = 0.0
    for one in score(annotations, [(path.stem, read_predictions(path, annotations)) for path in files]):
        published = json.loads((folder / f"result_{one.name}.json").read_text(encoding="utf-8"))
        ours = {name: figure.value for name, figure in (one.speech | one.tajweed).items()}
        # Figures called bootstrapped depend on their random numbers.
        figures = {
            OURS.get(name, name): value
            for group in ("speech_metrics", "qdat_metrics", "qdat_avg_metrics")
            for name, value in published[group].items()
        }
        difference = max(abs(ours[name] - value) for name, value in figures.items())
        print(f"{one.name}: {len(figures)} figures, largest difference {difference:.1e}")
        worst = max(worst, difference)
    return int(not files or worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

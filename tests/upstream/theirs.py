"""Upstream's half of ``parity.py``, run by the Python of an environment that holds quran-muaalem and not qasr.

Reads a JSON list of cases (each a list of audio files that make one batch) and writes, for every case and clip, the
features, the logits of each level, and what upstream's own decoder makes of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
import transformers
from quran_muaalem.decode import ctc_decode, phonemes_level_greedy_decode
from quran_muaalem.modeling.modeling_multi_level_ctc import Wav2Vec2BertForMultilevelCTC
from quran_muaalem.modeling.multi_level_tokenizer import MultiLevelTokenizer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("cases", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    # Upstream calls the phoneme vocabulary by the name of the tokenizer's levels, so both come from the checkpoint.
    tokenizer = MultiLevelTokenizer(str(options.checkpoint))
    extractor = transformers.AutoFeatureExtractor.from_pretrained(options.checkpoint)
    model = Wav2Vec2BertForMultilevelCTC.from_pretrained(options.checkpoint).to(torch.float32).eval()
    arrays: dict[str, np.ndarray] = {}
    decoded = []
    for number, files in enumerate(json.loads(options.cases.read_text(encoding="utf-8"))):
        waves = [soundfile.read(file, dtype="float32")[0] for file in files]
        inputs = extractor(waves, sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**inputs).logits
        for clip, length in enumerate(inputs["attention_mask"].sum(-1).tolist()):
            arrays[f"{number}/{clip}/features"] = inputs["input_features"][clip, :length].numpy()
            ids = {}
            for level, values in logits.items():
                own = values[clip, :length]
                arrays[f"{number}/{clip}/{level}"] = own.numpy()
                best = own.softmax(-1).max(-1)
                ids[level] = ctc_decode(best.indices[None], best.values[None])[0].ids.tolist()
            phonemes = logits["phonemes"][clip : clip + 1, :length].softmax(-1)
            unit = phonemes_level_greedy_decode(phonemes, tokenizer.id_to_vocab["phonemes"])[0]
            decoded.append({"case": number, "clip": clip, "text": unit.text, "ids": ids})
    np.savez(options.output, **arrays)
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__}
    vocabulary = {
        level: {str(key): token for key, token in ids.items()} for level, ids in tokenizer.id_to_vocab.items()
    }
    report = {"versions": versions, "vocabulary": vocabulary, "decoded": decoded}
    options.output.with_suffix(".json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()

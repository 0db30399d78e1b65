"""``random:full``: the full-size architecture (606 M parameters) without stored weights, for speed and memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ... import reference


def write_full_config(folder: Path) -> None:
    """Write a checkpoint folder without weights: the architecture of ``obadx/muaalem-model-v3_0``.

    It is ``facebook/w2v-bert-2.0``'s with an adapter of one layer (logits at 25 Hz), and has the reference's levels.
    """
    from transformers import Wav2Vec2BertConfig

    small = json.loads((reference.CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    # The defaults of the configuration class are the full-size model: 24 layers of 1024, an adapter of stride 2.
    full = Wav2Vec2BertConfig(pad_token_id=small["pad_token_id"], add_adapter=True).to_dict()
    full.update(
        {key: small[key] for key in ("model_type", "architectures", "level_to_vocab_size", "level_to_loss_weight")}
    )
    (folder / "config.json").write_text(json.dumps(full, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name in ("vocab.json", "preprocessor_config.json"):
        shutil.copyfile(reference.CHECKPOINT / name, folder / name)

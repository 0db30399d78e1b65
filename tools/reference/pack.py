"""Writes the shipped files: FLAC audio with manifests, and the checkpoint as Hugging Face saves it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import soundfile
import torch

from qasr.recitation.labels import PAD, vocabulary

from .corpus import SAMPLE_RATE, feature_extractor, plan, render
from .verses import Split


def pack_audio(folder: Path, split: Split, count: int, seed: int) -> None:
    """Write a split as 16-bit FLAC files and ``manifest.jsonl``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = []
    for index, utterance in enumerate(plan(split, count, seed)):
        audio = render(utterance)
        name = f"{index:03d}-{utterance.voice.lower()}.flac"
        soundfile.write(folder / name, audio, SAMPLE_RATE, subtype="PCM_16")
        rows.append(
            {
                "audio": name,
                "phonemes": utterance.stretch.labels.phonemes,
                "levels": utterance.stretch.labels.texts(),
                "voice": utterance.voice,
                "verse": utterance.stretch.verse,
                "uthmani": utterance.stretch.uthmani,
                "seconds": round(audio.size / SAMPLE_RATE, 3),
            }
        )
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(lines, encoding="utf-8")


def pack_checkpoint(weights: Path, folder: Path) -> None:
    """Write trained weights as a checkpoint folder, in fp16."""
    from transformers import Wav2Vec2CTCTokenizer

    from qasr.recitation.multilevel import Wav2Vec2BertForMultilevelCTC

    from .train import build_config

    model = Wav2Vec2BertForMultilevelCTC(build_config())
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["model"])
    staging = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    model.to(torch.float16).save_pretrained(staging)
    feature_extractor().save_pretrained(staging)
    (staging / "vocab.json").write_text(json.dumps(vocabulary(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(
        str(staging / "vocab.json"), pad_token=PAD, target_lang="phonemes", bos_token=None, eos_token=None
    )
    tokenizer.save_pretrained(staging)
    # safetensors creates files that only their owner may read, and a wheel keeps the permissions.
    (staging / "model.safetensors").chmod(0o644)
    shutil.rmtree(folder, ignore_errors=True)
    staging.replace(folder)

"""Checkpoints of all shapes, loaded, against stock transformers: logits and texts."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch
from transformers import Wav2Vec2BertForCTC, Wav2Vec2CTCTokenizer

from qasr.models import open_checkpoint
from qasr.recitation.multilevel import Wav2Vec2BertForMultilevelCTC
from qasr.runtimes.ctc.decoding import reduce_logits
from qasr.runtimes.ctc.transcript import transcribe_frames

from ..toys.checkpoints import SHAPES

LENGTHS = (96, 64, 50)


@pytest.fixture(scope="module", params=SHAPES)
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("shape")
    torch.manual_seed(0)
    SHAPES[request.param].write(path)
    return path


@torch.inference_mode()
def test_logits(folder):
    """Clips in a padded batch have the logits that transformers computes for each alone."""
    with open_checkpoint(str(folder)) as checkpoint:
        model = checkpoint.deployable()
    one_head = list(checkpoint.levels) == ["text"]
    stock_class = Wav2Vec2BertForCTC if one_head else Wav2Vec2BertForMultilevelCTC
    stock = stock_class.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = torch.randn(len(LENGTHS), max(LENGTHS), 160, generator=torch.Generator().manual_seed(1))
    # In frames of 10 ms, two of which are stacked.
    lengths = 2 * torch.tensor(LENGTHS)
    logits = dict(zip(model.levels, model(inputs, lengths), strict=True))
    for clip, (length, frames) in enumerate(zip(LENGTHS, model.output_lengths(lengths).tolist(), strict=True)):
        expected = stock(inputs[clip : clip + 1, :length]).logits
        for level, values in ({"text": expected} if one_head else expected).items():
            torch.testing.assert_close(logits[level][clip, :frames], values[0], atol=1e-4, rtol=0)


def test_texts(folder):
    """The text of random logits is that of transformers' tokenizer."""
    with open_checkpoint(str(folder)) as checkpoint:
        levels = checkpoint.levels
    generator = torch.Generator().manual_seed(2)
    logits = {
        level: torch.randn(1, 200, len(vocabulary.tokens), generator=generator).numpy()
        for level, vocabulary in levels.items()
    }
    frames = reduce_logits(logits, 0, 200, levels)
    transcript = transcribe_frames(frames, levels, audio="x", seconds=4.0, frame_rate_hz=50.0)
    for level, values in logits.items():
        language = {} if level == "text" else {"target_lang": level, "pad_token": "[PAD]"}
        tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(folder, **language)
        ids = [int(index) for index, _ in groupby(values[0].argmax(-1))]
        assert transcript.levels[level].text == tokenizer.decode(ids, skip_special_tokens=True, group_tokens=False)
        assert len(transcript.levels[level].text) > 50

"""The interface of the package quran-muaalem, on any artifact and without torch.

``from qasr.muaalem import Muaalem`` in place of ``from quran_muaalem import Muaalem``; the model is the folder of an
artifact.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import QasrError
from .recitation.groups import spans
from .recitation.labels import PAD, SIFAT_TEXT
from .recitation.levels import LEVELS, PHONEMES, SIFAT
from .recitation.muaalem.alignment import align, tokens_of_groups
from .recitation.muaalem.explain import explain_for_terminal
from .recitation.muaalem.types import MuaalemOutput, Sifa, SingleUnit, Unit, value_of
from .runtimes import Transcript, load

__all__ = ["Muaalem", "MuaalemError", "MuaalemOutput", "Sifa", "SingleUnit", "Unit", "explain_for_terminal"]

SAMPLING_RATE = 16_000
_ENGLISH = {token: name for name, token in SIFAT_TEXT.items()}
# Fewer of the reference's groups than this were recited: it is of something else.
_FITS = 0.2


class MuaalemError(QasrError, ValueError):
    """A model that is no artifact of the recitation model, or a reference that it cannot align with."""


class Muaalem:
    """A recitation model that explains what was recited by what was to be recited."""

    def __init__(self, model_name_or_path: str | Path, device: str = "cpu", dtype: object = None) -> None:
        """Load the artifact in the folder ``model_name_or_path``.

        ``dtype`` is accepted for quran-muaalem's callers and has no effect: an artifact has the precision that it was
        exported with. Raises MuaalemError, or ArtifactError and RuntimeLoadError as ``qasr.load``.
        """
        if not (Path(model_name_or_path) / "manifest.json").is_file():
            raise MuaalemError(
                f"{model_name_or_path}: no artifact; export the checkpoint first: "
                f"qexport {model_name_or_path} --to onnx-fp32 -o DIR"
            )
        if dtype is not None:
            warnings.warn("dtype has no effect: an artifact has the precision that it was exported with", stacklevel=2)
        self._model = load(model_name_or_path, device=device)
        self._vocabularies = self._model.manifest.levels
        missing = [level for level in LEVELS if level not in self._vocabularies]
        if missing:
            self._model.close()
            raise MuaalemError(f"{model_name_or_path}: no recitation model, it lacks the levels {', '.join(missing)}")

    def __call__(
        self, waves: Sequence[Any], ref_quran_phonetic_script_list: Sequence[Any], sampling_rate: int
    ) -> list[MuaalemOutput]:
        """Transcribe recordings, and describe each phoneme group's sifat.

        ``waves`` are samples at 16 kHz (lists, arrays or tensors, each of one recording), and
        ``ref_quran_phonetic_script_list`` has quran-transcript's phonetic script of each (``quran_phonetizer`` with
        ``remove_spaces=True``). Raises ValueError for another sampling rate; MuaalemError for references that are not
        as many as recordings, are empty, or have letters outside the alphabet. Warns of one that does not fit.
        """
        if sampling_rate != SAMPLING_RATE:
            raise ValueError(f"`sampling_rate` has to be {SAMPLING_RATE} got: `{sampling_rate}`")
        references = list(ref_quran_phonetic_script_list)
        if len(waves) != len(references):
            raise MuaalemError(f"{len(waves)} recordings and {len(references)} references; each needs its own")
        scripts = [self._script(index, reference) for index, reference in enumerate(references)]
        recordings = [(np.asarray(wave, dtype=np.float32), SAMPLING_RATE) for wave in waves]
        transcripts = self._model.transcribe_batch(recordings)
        return [
            self._output(index, transcript, *script)
            for index, (transcript, script) in enumerate(zip(transcripts, scripts, strict=True))
        ]

    def close(self) -> None:
        """Release the engine."""
        self._model.close()

    def _script(self, index: int, reference: Any) -> tuple[list[str], dict[str, list[int]]]:
        """The reference's phoneme groups, and its token ids by sifat level."""
        phonemes, sifat = reference.phonemes, reference.sifat
        letters = [letter for letter in phonemes if letter not in self._vocabularies[PHONEMES].tokens]
        if letters:
            known = " (use remove_spaces=True)" if " " in letters else ""
            shown = ", ".join(map(repr, dict.fromkeys(letters)))
            raise MuaalemError(f"reference {index}: {shown}: outside the model's alphabet{known}")
        if not sifat:
            raise MuaalemError(f"reference {index}: is empty")
        groups = [value_of(one, "phonemes") for one in sifat]
        ids = {}
        for level in SIFAT:
            tokens = self._vocabularies[level].tokens
            values = [value_of(one, level) for one in sifat]
            unknown = [value for value in values if SIFAT_TEXT.get(value) not in tokens]
            if unknown:
                raise MuaalemError(f"reference {index}: {level} is {unknown[0]!r}, which the model does not know")
            ids[level] = [tokens.index(SIFAT_TEXT[value]) for value in values]
        return groups, ids

    def _output(
        self, index: int, transcript: Transcript, reference: Sequence[str], reference_ids: Mapping[str, Sequence[int]]
    ) -> MuaalemOutput:
        units = {
            level: Unit(
                "".join(token.text for token in result.tokens),
                np.array([token.confidence for token in result.tokens], dtype=np.float32),
                np.array([token.id for token in result.tokens], dtype=np.int64),
            )
            for level, result in transcript.levels.items()
        }
        text = units[PHONEMES].text
        groups = [text[start:stop] for start, stop in spans(text)]
        agreeing = _agreeing(groups, reference)
        if groups and agreeing < _FITS * len(reference):
            warnings.warn(
                f"recording {index}: {agreeing} of {len(reference)} phoneme groups agree with its reference; "
                "it may be of another verse",
                stacklevel=3,
            )
        chosen = {
            level: tokens_of_groups(units[level].ids.tolist(), groups, reference, reference_ids[level])
            for level in SIFAT
        }
        sifat = [
            Sifa(group, **{level: self._single(level, units[level], chosen[level], number) for level in SIFAT})
            for number, group in enumerate(groups)
        ]
        return MuaalemOutput(units[PHONEMES], sifat)

    def _single(self, level: str, unit: Unit, chosen: Sequence[int | None], number: int) -> SingleUnit | None:
        """The token of group ``number``; None behind the last one, a blank where it is missing."""
        if number >= len(chosen):
            return None
        token = chosen[number]
        vocabulary = self._vocabularies[level]
        if token is None:
            return SingleUnit(PAD, 0.0, vocabulary.blank)
        idx = int(unit.ids[token])
        return SingleUnit(_ENGLISH[vocabulary.tokens[idx]], float(unit.probs[token]), idx)


def _agreeing(groups: Sequence[str], reference: Sequence[str]) -> int:
    """Groups of the reference that were recited in its order, letter for letter."""
    if len(groups) == len(reference):
        return sum(one[0] == other[0] for one, other in zip(groups, reference, strict=True))
    partners = align([group[0] for group in groups], [group[0] for group in reference])
    return sum(
        partner is not None and groups[number][0] == reference[partner][0] for number, partner in enumerate(partners)
    )

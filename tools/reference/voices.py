"""espeak-ng voices: the sound of each phoneme label, and the voices of each split."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from qasr.errors import QasrError

SEEN = "m3"
"""The evaluation voice that is also in the training set."""
UNSEEN = "Annie"
"""The evaluation voice that is not in the training set."""

TRAINING = (
    *("m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f4"),
    *("Andy", "steph", "steph2", "Alex", "Alicia", "Diogo", "Gene", "Hugo", "Jacky", "Lee"),
    *("Marco", "Michael", "Mike", "Nguyen", "adam", "anika", "antonio", "aunty", "belinda", "benjamin"),
    *("boris", "caleb", "david", "ed", "edward", "linda", "max", "miguel", "norbert", "victor"),
)

# Mnemonics of espeak-ng's Arabic voice. Signs that it has no sound for get a distinct one, so that every label is
# audible: ikhfa's nasals, qalqala's echo, imala's vowels.
_SOUNDS = {
    "ء": "?",
    "ب": "b",
    "ت": "t",
    "ث": "T",
    "ج": "dZ",
    "ح": "H",
    "خ": "X",
    "د": "d",
    "ذ": "D",
    "ر": "R",
    "ز": "z",
    "س": "s",
    "ش": "S",
    "ص": "s[",
    "ض": "dH",
    "ط": "t[",
    "ظ": "Z'",
    "ع": "A",
    "غ": "Q",
    "ف": "f",
    "ق": "q",
    "ك": "k",
    "ل": "l",
    "م": "m",
    "ن": "n",
    "ه": "h",
    "و": "w",
    "ي": "j",
    "َ": "a",
    "ُ": "u",
    "ِ": "i",
    "۪": "e",
    "ٲ": "?@",
    "ڇ": "@",
    "ں": "N",
    "۾": "n^",
    "ۜ": "_:",
    "ؙ": "u",
}
# Two labels of a long vowel are one beat.
_LONG = {"ا": "a:", "ۦ": "i:", "ۥ": "u:", "ـ": "e:"}


class EspeakMissingError(QasrError):
    """espeak-ng is not installed."""


@dataclass(frozen=True)
class Delivery:
    """Voice, speed and pitch of an utterance."""

    voice: str
    words_per_minute: int
    pitch: int
    """0 to 99; 50 is the voice's default."""


def random_delivery(voice: str, rng: random.Random) -> Delivery:
    """A random speed and pitch for a voice."""
    return Delivery(voice, rng.randint(105, 175), rng.randint(25, 75))


def require_espeak() -> None:
    """Raise EspeakMissingError if espeak-ng is not on the path."""
    if shutil.which("espeak-ng") is None:
        raise EspeakMissingError("espeak-ng is not installed; type: apt-get install espeak-ng")


def espeak_input(phonemes: str) -> str:
    """Phoneme labels as espeak-ng's ``[[...]]`` input."""
    sounds = []
    for label, run in itertools.groupby(phonemes):
        length = sum(1 for _ in run)
        sounds += [_LONG[label]] * max(1, round(length / 2)) if label in _LONG else [_SOUNDS[label]] * length
    # The bar separates neighbours that would form another mnemonic: d H is not dH.
    return f"[[{'|'.join(sounds)}]]"


def speak(phonemes: str, delivery: Delivery) -> tuple[NDArray[np.float32], int]:
    """Synthesize labels: mono float32 samples and their rate in Hz. Raises EspeakMissingError."""
    require_espeak()
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        settings = ["-v", f"ar+{delivery.voice}", "-s", str(delivery.words_per_minute), "-p", str(delivery.pitch)]
        subprocess.run(["espeak-ng", *settings, "-w", str(wav), espeak_input(phonemes)], check=True)
        samples, rate = soundfile.read(wav, dtype="float32")
    return samples, rate

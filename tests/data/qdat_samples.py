"""An annotation and a prediction in the format of qdat_bench, invented."""

from __future__ import annotations

import json

from qasr.recitation.levels import LEVELS

ROW = {
    "id": "x",
    "original_id": "s1",
    "gender": "male",
    "qalo_alif_len": 2,
    "qalo_waw_len": 2,
    "laa_alif_len": 2,
    "separate_madd": 4,
    "noon_moshaddadah_len": 1,
    "noon_mokhfah_len": 2,
    "allam_alif_len": 2,
    "madd_aared_len": 4,
    "qalqalah": 1,
    "phonetic_transcript": "قَاا لُۥۥ",
    "sifat": [
        {"phonemes": "قَ", "hams_or_jahr": "jahr", "shidda_or_rakhawa": "shadeed", "tafkheem_or_taqeeq": "mofakham",
         "itbaq": "monfateh", "safeer": "no_safeer", "qalqla": "not_moqalqal", "tikraar": "not_mokarar",
         "tafashie": "not_motafashie", "istitala": "not_mostateel", "ghonna": "not_maghnoon"},
    ],
}  # fmt: skip


def prediction(name, **changes):
    scripts = {level: "قَا" if level == "phonemes" else ["[جهر]"] for level in LEVELS}
    return json.dumps({"id": name, "levels_labels": {}, "level_to_scripts": scripts | changes}) + "\n"

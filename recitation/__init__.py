"""Specific to the Quran recitation model: its levels, phoneme groups, sifat, verses and class."""

"""What only the Quran recitation model has: its levels, phoneme groups, sifat and verses."""

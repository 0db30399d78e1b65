"""Wav2Vec2-BERT, with or without its adapter, with one CTC head or several."""

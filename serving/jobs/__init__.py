"""Transcriptions that outlive a connection and a restart: kept in a folder, with their state in SQLite."""

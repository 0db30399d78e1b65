"""Time, memory and transcripts of artifacts, measured in child processes."""

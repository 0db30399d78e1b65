"""A server for artifacts: the scheduler, and protocols that translate requests for it."""

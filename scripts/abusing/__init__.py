"""Rough treatment of a server that runs in a process of its own: what scripts/abuse does."""

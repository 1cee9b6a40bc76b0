"""The client of Safelight."""

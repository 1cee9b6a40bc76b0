"""How cost grows with streams, models, waiting jobs and pixels: what scripts/growth does."""

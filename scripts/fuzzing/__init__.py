"""What scripts/fuzz runs: calls of the pixel functions, drawn by chance, and what can be wrong with them."""

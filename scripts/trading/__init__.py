"""What seconds buy: all our ways to draw, by time and by nearness to the exact picture. scripts/pareto runs it."""

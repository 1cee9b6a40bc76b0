"""Compares scheduling policies on made-up traffic, in simulated time: what the lanes' policy is tuned by."""

"""Complexity and fusion time of networks."""

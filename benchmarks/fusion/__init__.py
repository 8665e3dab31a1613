"""Trains networks of equal cost, compares them and draws the comparison; see early_fusion.py."""

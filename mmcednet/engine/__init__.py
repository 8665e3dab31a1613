"""Runs of the command-line tools."""

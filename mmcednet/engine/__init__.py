"""Command-line runs."""

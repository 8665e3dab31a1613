"""Predictions of a trained model: drawn, written to files, or shown in a web page."""

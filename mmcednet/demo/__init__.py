"""Training and drawing for ``make demo``."""

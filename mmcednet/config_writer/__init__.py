"""Writes configs: CEDNet in an existing config, and the table of the frameworks this works for."""

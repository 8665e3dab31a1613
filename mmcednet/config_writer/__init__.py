"""Writes configs: for your own data, and with CEDNet in an existing config."""

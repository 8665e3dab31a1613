"""Whether CEDNet works in the frameworks of the toolboxes: a smoke test of each, and their table."""

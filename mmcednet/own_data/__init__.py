"""Configs for your own data: looks at a folder of images, chooses settings, writes the config."""

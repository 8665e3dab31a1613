"""CEDNet in place of the backbone and the neck of an existing config of a toolbox."""

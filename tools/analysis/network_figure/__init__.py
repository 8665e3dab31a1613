"""The figure of a CEDNet: what is read from the built model, and how it is drawn."""

"""What a network costs, and how late it fuses."""

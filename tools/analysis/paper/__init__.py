"""The paper's tables, and our results next to them."""

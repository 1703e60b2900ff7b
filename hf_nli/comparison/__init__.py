"""Two models on the same pairs."""

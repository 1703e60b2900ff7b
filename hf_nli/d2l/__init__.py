"""d2l's checkpoints, and their conversion to stock models."""

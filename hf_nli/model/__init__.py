"""Model folders: loading them, their files, the logits and metrics of a data set."""

"""A forward pass that computes only what a sequence classifier reads, over a stock model's own modules."""

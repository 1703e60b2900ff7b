"""Predictions for pairs of texts, and exported programs."""

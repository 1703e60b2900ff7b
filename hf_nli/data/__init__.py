"""NLI data sets: sources, one schema, splits, token tables, batches."""

"""Reports: a model on a data set, and what is in a data set."""

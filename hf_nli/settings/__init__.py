"""The settings of runs and of reading data: typed, checked once, the same for the command line and Python."""

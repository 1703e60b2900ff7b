"""Rows of any source, whatever is in them: files of several forms, archives, patterns, saved data sets, the Hub."""

"""The table of `test_bad_inputs`: bad inputs, and good ones that look bad, by what they are about."""

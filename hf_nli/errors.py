"""The one error that people see: bad input, said in a line."""


class InputError(ValueError):
    """Input that cannot be used as given.

    The message is a single line that says what is wrong, where, and what to do. Command-line programs print it
    and exit with code 2; library users catch it as a `ValueError`.
    """

"""The one error that people see: bad input, said in a line."""

from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used as given.

    The message is a single line that says what is wrong, where, and what to do. Command-line programs print it
    and exit with code 2; library users catch it as a `ValueError`.
    """


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names in a row; of many, the first ones and how many others there are."""
    names = list(names)
    others = f" and {len(names) - most} others" if len(names) > most else ""
    return ", ".join(names[:most]) + others


class Interrupted(Exception):
    """A run was asked to stop, and can be continued.

    Args:
        message: What was done, and how to go on; for people.
        signal_number: What asked it.

    Attributes:
        signal_number: What asked it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def reason(error: BaseException) -> str:
    """What another library's error says, in a line: its first one, or its name if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]

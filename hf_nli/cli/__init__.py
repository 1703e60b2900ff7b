"""The command `hf-nli`: what has to be there before anything else is imported, which takes seconds."""

import sys
from collections.abc import Sequence

from hf_nli.cli.signals import Signals


def main(argv: Sequence[str] | None = None) -> int:
    """Is `cli.run.main`, and ends in one line also if a signal comes while that is imported."""
    with Signals("hf-nli", closing=argv is None):
        from hf_nli.cli import run

        return run.main(argv)


def script(command: str) -> int:
    """Runs a command with the process's own flags: most files in scripts/ are this with a name.

    Args:
        command: Its name.

    Returns:
        The exit code, as from `cli.run.main`.
    """
    sys.argv.insert(1, command)
    return main()

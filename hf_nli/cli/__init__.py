"""The command `hf-nli`."""

from hf_nli.cli.run import main, run

__all__ = ["main", "run"]

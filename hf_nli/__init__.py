"""d2l's BERT for natural language inference, in the Hugging Face ecosystem."""

__version__ = "0.1.0"


def __getattr__(name: str):  # -> `load_nli`, when it is asked for: importing `datasets` takes seconds
    if name == "load_nli":
        from hf_nli.data.load import load_nli

        return load_nli
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""d2l's BERT for natural language inference, in the Hugging Face ecosystem."""

__version__ = "0.1.0"

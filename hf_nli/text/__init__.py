"""Text to token ids: the rules of tokenization, the tokenizer, encoded pairs."""

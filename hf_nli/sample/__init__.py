"""The generated corpus and checkpoint of the quickstart."""

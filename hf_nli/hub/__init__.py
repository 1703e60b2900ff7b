"""Publishing on the Hub."""

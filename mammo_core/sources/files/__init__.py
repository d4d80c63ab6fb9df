"""Files of a source, and the facts read from them."""

"""Tables of a source, as published and as we write them."""

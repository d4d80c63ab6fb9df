"""What may be done with a data set, and its card."""

"""Whom a model and the models before it have seen, and on which side patients stay."""

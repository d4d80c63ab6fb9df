"""Splits by patient, the sides that patients keep, and what can be trained on them."""

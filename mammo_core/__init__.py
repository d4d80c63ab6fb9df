"""Mammograms in, an evaluated and versioned breast-cancer classifier out."""

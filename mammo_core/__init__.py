"""Turns mammograms into an evaluated and versioned breast-cancer classifier."""

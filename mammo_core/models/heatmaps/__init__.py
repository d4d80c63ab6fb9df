"""Heatmaps: what a patch classifier returns for every position of an image."""

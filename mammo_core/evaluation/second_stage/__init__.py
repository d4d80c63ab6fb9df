"""The second stage: a random forest over regions of the heatmaps of a breast."""

"""How well heatmaps find the annotated lesions."""

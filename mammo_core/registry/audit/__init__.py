"""The audit of a model: its whole chain, from the images to the decisions that released it."""

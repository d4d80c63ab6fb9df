"""The change-control plan: what may change from one released model to the next."""

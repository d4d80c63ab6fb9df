"""One module or package for each collection; each registers its `Adapter` when imported."""

"""The trackers, one module each: they register themselves when they are imported."""

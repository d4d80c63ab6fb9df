"""Watching a model live: events of its scores, and alarms when they are no longer as they were."""

"""What runs and steps do, reported to others: OpenLineage, MLflow, trackers of other packages."""

"""Reports of evaluations and comparisons, as HTML pages and in sentences."""

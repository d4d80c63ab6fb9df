"""The reports of evaluations and comparisons, as HTML pages and in words."""

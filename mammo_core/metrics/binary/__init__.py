"""Metrics of binary classifiers, one module each; `mammo_core.metrics.metric` finds them."""

"""Reporting sheets: what journals and regulators ask of a model, answered from its package."""

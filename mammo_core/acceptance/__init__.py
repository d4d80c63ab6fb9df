"""Acceptance: what a model does on a site's own cases, and the record by which the site uses it."""

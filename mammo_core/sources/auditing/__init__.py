"""Which images are plausible and wanted: policy, gray levels and the audit's page."""

"""What the adapters of published data sets share: their tables, files, labels and counts."""

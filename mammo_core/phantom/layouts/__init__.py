"""The phantom as published data sets are: their tables, folders, headers and quirks."""

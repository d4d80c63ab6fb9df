"""Several sources in one run: their settings, their ids, and their tables as one."""

"""Signatures of packages: keys, trust and checksums."""

"""Propose how a table of somebody's own is read, and say which published one it looks like."""

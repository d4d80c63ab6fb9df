"""Fixtures of several tests of this room."""

from tests.support.key_fixtures import configure, keys

__all__ = ["configure", "keys"]

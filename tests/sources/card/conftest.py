"""Packages without a network, for what terms forbid."""

from tests.support.package_fixtures import light_package

__all__ = ["light_package"]

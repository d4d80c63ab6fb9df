from tests.support.package_fixtures import built, light_package, make, package

__all__ = ["built", "light_package", "make", "package"]

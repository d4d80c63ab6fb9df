from tests.support.package_fixtures import built, light_package, make

__all__ = ["built", "light_package", "make"]

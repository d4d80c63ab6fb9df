from tests.support.packages import built, light_package, make, package

__all__ = ["built", "light_package", "make", "package"]

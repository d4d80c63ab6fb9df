from tests.support.packages import built, light_package, make

__all__ = ["built", "light_package", "make"]

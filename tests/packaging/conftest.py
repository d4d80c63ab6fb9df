from tests.support.key_fixtures import configure, keys
from tests.support.package_fixtures import built, light_package, make, package

__all__ = ["built", "configure", "keys", "light_package", "make", "package"]

import pytest

from mammo_core.store import open_store
from tests.support.key_fixtures import configure, keys
from tests.support.package_fixtures import built, light_package, make

__all__ = ["built", "configure", "keys", "light_package", "make", "store"]


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")

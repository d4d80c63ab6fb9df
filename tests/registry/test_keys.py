"""Keys and URIs of the registry."""

import pytest

from mammo_core.errors import StoreError
from mammo_core.registry.keys import split_model_uri, version_folder, version_of_key


def test_a_model_uri_is_split_into_store_and_key():
    assert split_model_uri("s3://b/models/x/models/y/3/") == ("s3://b/models/x", "models/y/3")
    assert split_model_uri("file:///s/models/y") == ("file:///s", "models/y")
    with pytest.raises(StoreError):
        split_model_uri("file:///s/y")


def test_a_key_of_a_package_names_its_version():
    assert version_of_key(f"{version_folder('x', 3)}/model.keras") == ("x", 3)
    for key in ("models/x/published/3.json", "models/x/champion", "models/x/3", "runs/x/3/a"):
        assert version_of_key(key) is None

"""The object stores that a URL may name. None is connected to: a store does that on first use."""

from __future__ import annotations

import pytest
from obstore.store import LocalStore, S3Store

from mayfly.gateway.files.store import open_store


def test_a_folder_is_made(tmp_path):
    store = open_store(f"file://{tmp_path}/a%20b/files", {})
    assert isinstance(store, LocalStore)
    assert (tmp_path / "a b" / "files").is_dir()


def test_an_s3_store_takes_its_own_options_and_the_connections():
    options = {"endpoint": "http://127.0.0.1:9", "region": "us-east-1", "allow_http": "true"}
    store = open_store("s3://bucket/prefix", options)
    assert isinstance(store, S3Store)
    assert store.config["endpoint"] == "http://127.0.0.1:9"
    assert store.client_options is not None


def test_an_option_that_no_store_knows_is_a_mistake():
    with pytest.raises(BaseException, match="nonsense"):
        open_store("s3://bucket", {"nonsense": "x"})

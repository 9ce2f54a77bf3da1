from pathlib import Path

import pytest
from detection_scenes import write_collages

from decaf.records import Source


@pytest.fixture(scope="session")
def collages(tmp_path_factory) -> Path:
    return write_collages(tmp_path_factory.mktemp("voc") / "collages")


@pytest.fixture(scope="session")
def kept(tmp_path_factory) -> Source:
    """One folder of proposals and features for all tests."""
    return Source(features=tmp_path_factory.mktemp("features"))

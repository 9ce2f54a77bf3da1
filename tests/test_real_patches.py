"""Adaptation layers on patches of cluttered scenes of real images.

That the best patch lies on its object is tested in test_patches.py.
"""

from pathlib import Path

import pytest
from flat import evaluate
from scenes import write_scenes


@pytest.mark.data
@pytest.mark.slow
def test_patches_beat_whole_images(assets: Path, tmp_path: Path) -> None:
    write_scenes(assets, tmp_path / "data", n_train=120, n_test=40)

    def score(protocol: str, head: str, **options: str) -> float:
        (row,) = evaluate(
            "voc2007",
            protocol=protocol,
            backbone="decaf-mini",
            layers="pool5",
            pool="avg",
            heads=head,
            device="cpu",
            allow_partial=True,
            data_root=tmp_path / "data",
            features=tmp_path / protocol,
            out=tmp_path / f"{protocol}.csv",
            quiet=True,
            **options,
        ).aggregates()
        assert (row.n_train, row.n_test, row.metric) == (120, 40, "map_11pt")
        return row.mean

    whole = score("chatfield", "svm", view="squash")
    patches = score("oquab", "adaptation", patch_scales="2.4,3.2")
    assert patches >= whole + 0.15

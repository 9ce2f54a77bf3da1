"""The local engine: every row once, whatever the batch size, the threads and the failures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from decaf.backbones import TorchBackbone, load_backbone
from decaf.engines import Plan, run
from decaf.engines.local import even_blocks
from decaf.errors import DataError, StoreError
from decaf.types import FloatArray, ImageDataset, IntArray


class Rows:
    """A feature writer that keeps rows in memory and can be told to break."""

    def __init__(self, n_images: int, *, breaks_after: int | None = None) -> None:
        self.features: dict[int, dict[str, FloatArray]] = {}
        self.failures: dict[int, str] = {}
        self.sizes: list[int] = []
        self.n_images = n_images
        self.breaks_after = breaks_after

    def pending(self) -> IntArray:
        return np.array([row for row in range(self.n_images) if row not in self.features])

    def write(
        self, rows: IntArray, features: Mapping[str, FloatArray], sha256: Sequence[bytes]
    ) -> None:
        if self.breaks_after is not None and len(self.sizes) >= self.breaks_after:
            raise StoreError("disk full")
        assert all(len(digest) == 32 for digest in sha256)
        self.sizes.append(len(rows))
        for index, row in enumerate(rows.tolist()):
            assert row not in self.features
            self.features[row] = {layer: values[index] for layer, values in features.items()}

    def fail(self, row: int, reason: str) -> None:
        self.failures[row] = reason

    def stacked(self, layer: str) -> FloatArray:
        return np.stack([self.features[row][layer] for row in sorted(self.features)])


@pytest.fixture(scope="module")
def net() -> TorchBackbone:
    return load_backbone("decaf-mini", weights="random", device="cpu")


def table(folder: Path) -> ImageDataset:
    ids = tuple(sorted(str(path.relative_to(folder)) for path in folder.glob("*/*")))
    n_images = len(ids)
    zeros = np.zeros(n_images, dtype=np.int64)
    return ImageDataset("images", folder, ids, zeros, ("one",), zeros)


def plan(folder: Path, net: TorchBackbone, **options: object) -> Plan:
    settings: dict[str, object] = {
        "layers": ("features.pool2", "pool5"),
        "pool": "avg",
        "view": "center",
        "decoder": "auto",
        "batch_size": 5,
        "workers": 2,
        "max_failures": 0.0,
    }
    return Plan(table(folder), net, **(settings | options))


def extracted(plan: Plan) -> Rows:
    rows = Rows(len(plan.dataset.image_ids))
    run(plan, rows, lambda *_: None)
    return rows


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (64, 0), (7, 1), (1, 4), (64, 4)])
def test_rows_do_not_depend_on_batch_size_or_threads(
    image_folder: Path, net: TorchBackbone, batch_size: int, workers: int
) -> None:
    expected = extracted(plan(image_folder, net, workers=0))
    found = extracted(plan(image_folder, net, batch_size=batch_size, workers=workers))
    assert sorted(found.features) == list(range(24))
    for layer in ("features.pool2", "pool5"):
        np.testing.assert_allclose(
            found.stacked(layer), expected.stacked(layer), rtol=1e-3, atol=1e-6
        )


@pytest.mark.parametrize("n_rows", [0, 1, 3, 33, 160, 200, 641])
@pytest.mark.parametrize(("most", "step"), [(128, 16), (16, 4), (16, 16), (5, 4), (2, 4)])
@pytest.mark.parametrize("n_threads", [0, 1, 2, 5])
def test_threads_get_as_many_rows_each(n_rows: int, most: int, step: int, n_threads: int) -> None:
    rows = np.arange(100, 100 + n_rows)
    blocks = list(even_blocks(rows, most, step, n_threads))
    assert np.concatenate([rows[:0], *blocks]).tolist() == rows.tolist()
    assert all(0 < len(block) <= most for block in blocks)
    assert all(len(block) % min(step, most) == 0 for block in blocks[:-1])
    done = [0] * max(n_threads, 1)
    for block in blocks:
        done[done.index(min(done))] += len(block)
    assert max(done) - min(done) < 2 * step


def test_a_row_belongs_to_its_image(image_folder: Path, net: TorchBackbone) -> None:
    rows = extracted(plan(image_folder, net, layers=("pool5",)))
    folder = table(image_folder)
    one = ImageDataset(
        "one", folder.root, folder.image_ids[17:18], *[np.zeros(1, int)], ("a",), np.zeros(1, int)
    )
    alone = Rows(1)
    run(Plan(one, net, ("pool5",), "avg", "center", "auto", 1, 0, 0.0), alone, lambda *_: None)
    np.testing.assert_allclose(
        alone.features[0]["pool5"], rows.features[17]["pool5"], rtol=1e-3, atol=1e-6
    )


def test_several_views_make_a_second_axis(image_folder: Path, net: TorchBackbone) -> None:
    rows = extracted(plan(image_folder, net, view="ten-crop", layers=("pool5",)))
    assert rows.features[3]["pool5"].shape == (10, 128)
    center = extracted(plan(image_folder, net, layers=("pool5",)))
    np.testing.assert_allclose(
        rows.features[3]["pool5"][4], center.features[3]["pool5"], rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("workers", [0, 3])
def test_broken_images_are_reported_and_the_others_go_on(
    image_folder: Path, net: TorchBackbone, workers: int
) -> None:
    settings = {"max_failures": 0.2, "workers": workers, "layers": ("pool5",)}
    whole = plan(image_folder, net, **settings)
    expected = extracted(whole)
    (image_folder / "green" / "3.png").write_bytes(b"")
    (image_folder / "red" / "7.png").unlink()
    rows = Rows(24)
    run(whole, rows, lambda *_: None)
    assert rows.failures == {11: "the file is empty", 23: "No such file or directory"}
    assert sorted({*range(24)} - set(rows.features)) == [11, 23]
    for row in (10, 12, 22):
        np.testing.assert_allclose(
            rows.features[row]["pool5"], expected.features[row]["pool5"], rtol=1e-3, atol=1e-6
        )


def test_too_many_failures_stop_the_run(image_folder: Path, net: TorchBackbone) -> None:
    for number in range(4):
        (image_folder / "blue" / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"of 24 images cannot be used.*--max-failures"):
        extracted(plan(image_folder, net, max_failures=0.1))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_the_store_ends_the_run(
    image_folder: Path, net: TorchBackbone, workers: int
) -> None:
    rows = Rows(24, breaks_after=2)
    with pytest.raises(StoreError, match="disk full"):
        run(plan(image_folder, net, workers=workers), rows, lambda *_: None)
    assert len(rows.sizes) == 2


def test_a_resumed_run_computes_the_same_batches_to_the_bit(
    image_folder: Path, net: TorchBackbone
) -> None:
    whole = extracted(plan(image_folder, net))
    resumed = Rows(24)
    resumed.features = {row: whole.features[row] for row in (*range(5), *range(15, 20))}
    run(plan(image_folder, net), resumed, lambda *_: None)
    assert sum(resumed.sizes) == 14
    np.testing.assert_array_equal(resumed.stacked("pool5"), whole.stacked("pool5"))


def test_progress_and_seconds_cover_every_row(image_folder: Path, net: TorchBackbone) -> None:
    told: list[tuple[int, int]] = []
    seconds = run(plan(image_folder, net), Rows(24), lambda *news: told.append(news))
    assert sum(n_rows for n_rows, _ in told) == 24
    assert all(value > 0 for value in vars(seconds).values())


def test_the_callers_number_of_threads_is_left_alone(
    image_folder: Path, net: TorchBackbone
) -> None:
    before = torch.get_num_threads()
    extracted(plan(image_folder, net, workers=2))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("workers", "share"), [(1, 4), (2, 2), (3, 1), (4, 1), (9, 1)])
def test_pools_have_together_no_more_threads_than_cores(
    image_folder: Path,
    net: TorchBackbone,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    share: int,
) -> None:
    found = []

    class Watching(Rows):
        def write(self, *given: object) -> None:
            blas = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
            found.append((torch.get_num_threads(), max(blas)))

    monkeypatch.setattr("decaf.engines.plan.n_cores", lambda: 4)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        with threadpool_limits(8, user_api="blas"):
            run(plan(image_folder, net, workers=workers), Watching(24), lambda *_: None)
    finally:
        torch.set_num_threads(before)
    assert {n_torch for n_torch, _ in found} == {share}
    assert all(n_blas <= share for _, n_blas in found)


def test_no_run_is_faster_than_its_bound(image_folder: Path, net: TorchBackbone) -> None:
    for workers in (0, 1, 2, 8):
        whole = plan(image_folder, net, workers=workers, batch_size=2)
        start = perf_counter()
        seconds = run(whole, Rows(24), lambda *_: None)
        assert 24 / (perf_counter() - start) <= seconds.bound(24, whole)

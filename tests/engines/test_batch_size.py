"""A batch size is found by trying, within the memory."""

from pathlib import Path

import pytest
from flat import extract, make_plan

from decaf.backbones import load_backbone
from decaf.datasets import load_dataset
from decaf.engines import batch_size
from decaf.engines.batch_size import fastest, tuned
from decaf.engines.forward import bytes_per_view
from decaf.extraction import n_features
from decaf.store import FeatureStore

SIZES = (8, 16, 32, 64)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({8: 1.0, 16: 1.5, 32: 2.5, 64: 4.0}, 64),
        ({8: 1.0, 16: 1.5, 32: 2.99, 64: 0.1}, 16),
        ({8: 1.0, 16: 9.0}, 8),
    ],
)
def test_sizes_grow_while_that_pays(seconds: dict[int, float], expected: int) -> None:
    assert fastest(SIZES, seconds.__getitem__) == expected


@pytest.mark.parametrize(("fits", "expected"), [(64, 64), (20, 16), (0, 8)])
def test_a_size_beyond_the_memory_is_not_taken(fits: int, expected: int) -> None:
    def seconds_of(size: int) -> float:
        if size > fits:
            raise RuntimeError("CUDA out of memory")
        return 1.0

    assert fastest(SIZES, seconds_of) == expected


def test_another_error_is_not_hidden() -> None:
    def seconds_of(size: int) -> float:
        raise RuntimeError("broken kernel")

    with pytest.raises(RuntimeError, match="broken kernel"):
        fastest(SIZES, seconds_of)


@pytest.mark.parametrize(("n_fit", "expected"), [(40, 32), (9, 8), (3, 1)])
def test_all_cores_batches_fit_the_free_memory(
    many: Path, monkeypatch: pytest.MonkeyPatch, n_fit: int, expected: int
) -> None:
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    plan = make_plan(load_dataset(many), net, view="ten-crop", workers=0)
    monkeypatch.setattr(batch_size, "free_memory_bytes", lambda: 20 * n_fit * bytes_per_view(net))
    monkeypatch.setattr(batch_size, "_seconds", lambda *_: 1.0)
    assert tuned(plan).batch_size == expected


def test_auto_says_what_it_found_and_extracts_with_it(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"backbone": "decaf-mini", "weights": "random", "device": "cpu"}
    path = extract(many, **options, batch_size="auto", out=tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert any(line.startswith("batch size ") for line in said)
    with FeatureStore(path) as store:
        assert store.done.all()
    assert extract(many, **options, batch_size="auto", out=tmp_path) == path
    assert "batch size" not in capsys.readouterr().err, "a store that is there needs no trying"


def test_auto_is_silent_where_it_should_be(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"backbone": "decaf-mini", "weights": "random", "device": "cpu", "quiet": True}
    extract(many, **options, batch_size="auto", out=tmp_path)
    said = capsys.readouterr()
    assert said.out + said.err == ""


@pytest.mark.parametrize("options", [{}, {"view": "ten-crop", "pool": "avg"}])
def test_the_pass_that_is_timed_is_the_one_that_is_run(
    many: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    plan = make_plan(load_dataset(many), net, layers="pool5,fc7", workers=0, **options)
    passes = []

    class Noting(batch_size.Forward):
        def features(self, batch):
            found = super().features(batch)
            passes.append({layer: values.shape for layer, values in found.items()})
            return found

    monkeypatch.setattr(batch_size, "Forward", Noting)
    monkeypatch.setitem(batch_size.SIZES, "cpu", (2,))
    tuned(plan, quiet=True)
    sizes = n_features(plan)
    views = (10,) if options else ()
    assert passes
    assert all(one == {k: (2, *views, n) for k, n in sizes.items()} for one in passes)

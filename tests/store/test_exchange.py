"""Features leave a store and come back to the bit, and others' features become a store."""

import csv
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from decaf.cli.app import app
from decaf.datasets import dataset_digest
from decaf.datasets.manifest import load_manifest
from decaf.errors import ConfigError, DataError, DecafError, StoreError
from decaf.store import (
    FeatureStore,
    FeatureWriter,
    export_features,
    import_features,
    read_failures,
    verify,
)
from decaf.store.failures import failures_path
from decaf.types import ImageDataset

NASTY = ('say "x", y', "=1+1", "'=a", "tööl", "two\nlines", "-b")


@pytest.fixture
def table(make) -> ImageDataset:
    """A table that a manifest can hold, of names that a careless one would not."""
    names = tuple(sorted(NASTY, key=str))
    return make.dataset(
        image_ids=tuple(f"{names[i % 6]}/{i}.jpg" for i in range(12)),
        labels=np.arange(12) % 6,
        class_names=names,
        official=np.array([[1 + 2 * (i > 5)] for i in range(12)], "i1"),
        boxes=None,
        groups=None,
    )


@pytest.fixture
def several(make) -> ImageDataset:
    """A table of images with several labels, as only npz and Parquet hold whole."""
    labels = np.where(np.arange(36).reshape(12, 3) % 4 == 0, 1, -1).astype("i1")
    labels[5] = (0, 1, 1)
    more = {"image_labels": labels[::-1].copy(), "domains": ("a", "b") * 6}
    return make.dataset(labels=labels, partial=True, name="möre", **more)


def write(make, path: Path, table: ImageDataset, *, dtype="float32", n_views=1) -> Path:
    """Write a store in which row 3 failed."""
    made = make.provenance(
        dataset=table.name, dataset_digest=dataset_digest(table), layers=("fc6",), dtype=dtype
    )
    rows = np.delete(np.arange(12), 3)
    features = make.features(rows, n_views)["fc6"]
    features[0].flat[:3] = (-0.0, 1e-7, 65504)
    with FeatureWriter(path, made, table, {"fc6": 5}, n_views) as writer:
        writer.write(rows, {"fc6": features}, make.sha256(rows))
        writer.fail(3, "broken")
        return writer.finish()


def assert_same(found: FeatureStore, expected: FeatureStore) -> None:
    assert found["fc6"][:].tobytes() == expected["fc6"][:].tobytes()
    assert found["fc6"].dtype == expected["fc6"].dtype
    np.testing.assert_array_equal(found.done, expected.done)
    tables = [replace(store.table(), name="") for store in (found, expected)]
    assert dataset_digest(tables[0]) == dataset_digest(tables[1])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("form", ["npy", "npz", "parquet", "csv"])
def test_a_round_trip_by_the_command_is_exact(make, table, tmp_path, form, dtype):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    store = write(make, tmp_path / "a.h5", table, dtype=dtype)
    out, back = tmp_path / f"out.{form}", tmp_path / "back.h5"
    file, given = (
        (out / "fc6.npy", ["--table", str(out / "rows.csv")]) if form == "npy" else (out, [])
    )
    if form == "csv":  # whose numbers say nothing of their width
        given = ["--dtype", dtype]
    for command in (
        ["export", str(store), "--to", form, "--out", str(out)],
        ["import", str(file), "--out", str(back), *given],
    ):
        done = CliRunner().invoke(app, ["store", *command])
        assert done.exit_code == 0, done.output
    with FeatureStore(back) as found, FeatureStore(store) as expected:
        assert_same(found, expected)
        assert found.provenance.backbone == "imported"
        assert found.provenance.weights == file.name
        assert found.provenance.dataset_digest == dataset_digest(found.table())
    assert verify(back) == []
    assert list(read_failures(failures_path(back))) == [3]


@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_views_and_all_columns_come_back(make, several, tmp_path, form):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    store = write(make, tmp_path / "a.h5", several, n_views=2)
    out = export_features(store, tmp_path / f"out.{form}", form)
    with (
        FeatureStore(import_features(out, None, tmp_path / "back.h5")) as found,
        FeatureStore(store) as expected,
    ):
        assert_same(found, expected)
        assert dataset_digest(found.table()) == dataset_digest(several)
        assert found.table().partial


def test_what_a_manifest_cannot_say_is_named(make, several, tmp_path, capsys):
    store = write(make, tmp_path / "a.h5", several)
    export_features(store, tmp_path / "out", "npy")
    said = capsys.readouterr().err
    for what in ("official splits", "boxes", "difficult"):
        assert what in said
    with (tmp_path / "out" / "rows.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["group"] for row in rows] == list(several.groups)
    assert rows[5]["label"] == "doll|tööl"


def test_a_written_array_is_numpys_own_in_small_blocks(make, table, tmp_path, monkeypatch):
    store = write(make, tmp_path / "a.h5", table, n_views=3)
    whole = export_features(store, tmp_path / "whole", "npy") / "fc6.npy"
    monkeypatch.setattr("decaf.store.exported.BLOCK_BYTES", 1)
    small = export_features(store, tmp_path / "small", "npy") / "fc6.npy"
    np.save(tmp_path / "numpys.npy", np.load(whole))
    assert small.read_bytes() == whole.read_bytes()
    assert np.load(whole).shape == (12, 3, 5)


# --- features of somebody else ----------------------------------------------------------------


@pytest.fixture
def rows(tmp_path) -> ImageDataset:
    file = tmp_path / "rows.csv"
    lines = [f"slides/{i}.tif,{'ab'[i % 2]}" for i in range(6)]
    file.write_text("\n".join(["path,label", *lines]))
    return load_manifest(file, images=False)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((6, 4)).astype("f4")


def by_numpy(folder, values):
    np.save(folder / "x.npy", values.astype("f8"))
    return folder / "x.npy", None


def by_h5(folder, values):
    with h5py.File(folder / "x.h5", "w") as file:
        file["coords"] = np.arange(6)
        file["deep/features"] = values
    return folder / "x.h5", None


def by_h5_of_several(folder, values):
    path, _ = by_h5(folder, values)
    with h5py.File(path, "r+") as file:
        file["others"] = values[:, :2]
    return path, "features"


def by_plain_csv(folder, values):
    lines = [["", "u", "v", "w", "x"], *([i, *row] for i, row in enumerate(values.tolist()))]
    with (folder / "x.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder / "x.csv", None


def by_wide_parquet(folder, values):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        arrow.table({f"f{i}": values[:, i] for i in range(4)}), folder / "x.parquet"
    )
    return folder / "x.parquet", None


@pytest.mark.parametrize("kind", [by_numpy, by_h5, by_h5_of_several, by_plain_csv, by_wide_parquet])
def test_features_of_other_programs(rows, values, tmp_path, kind):
    path, layer = kind(tmp_path, values)
    with FeatureStore(import_features(path, rows, tmp_path / "a.h5", layer=layer)) as store:
        np.testing.assert_array_equal(store[store.layers[0]][:], values, strict=True)
        assert store.image_ids == rows.image_ids
        assert len(np.unique(store.image_sha256, axis=0)) == 6
        assert (store.image_sizes_px == -1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v[:5], "5 rows of features and 6 images"),
        (lambda v: v[:, 0], r"shape \(6,\)"),
        (lambda v: v.astype(complex), "complex64|complex128"),
        (lambda v: np.where(np.arange(4) == 1, np.inf, v), r"row 0 \(slides/0.tif\) that is not"),
        (lambda v: np.where(np.eye(6, 4) > 0, np.nan, v), "row 0 .* that is not finite"),
        (lambda v: v * np.nan, "NaN in every row"),
        (lambda v: v + 1e-12, "float64 that float32 cannot hold exactly; give --dtype float32"),
        (lambda v: v.astype("f8") * 1e300, "not finite there"),
    ],
)
def test_wrong_features_are_refused_and_nothing_is_left(rows, values, tmp_path, change, message):
    np.save(tmp_path / "x.npy", change(values.astype("f8")))
    with pytest.raises(StoreError, match=message):
        import_features(tmp_path / "x.npy", rows, tmp_path / "a.h5")
    assert not list(tmp_path.glob("a.*"))


def test_float64_is_rounded_where_that_is_asked(rows, values, tmp_path):
    np.save(tmp_path / "x.npy", values.astype("f8") + 1e-12)
    path = import_features(tmp_path / "x.npy", rows, tmp_path / "a.h5", dtype="float32")
    with FeatureStore(path) as store:
        np.testing.assert_array_equal(store["x"][:], (values.astype("f8") + 1e-12).astype("f4"))


def test_files_that_cannot_be_read(rows, values, tmp_path):
    out = tmp_path / "a.h5"
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"], file["b"] = values, values
        file["link"] = h5py.ExternalLink("x.h5", "a")
    with pytest.raises(StoreError, match="found: a, b; name one by --layer"):
        import_features(tmp_path / "two.h5", rows, out)
    with pytest.raises(StoreError, match=r"import link .* found: a, b"):
        import_features(tmp_path / "two.h5", rows, out, layer="link")
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file.create_dataset("a", (6, 4), "f4", external=[(str(tmp_path / "secret"), 0, 96)])
        layout = h5py.VirtualLayout((6, 4), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "two.h5"), "a", (6, 4))
        file.create_virtual_dataset("b", layout)
    for name in "ab":
        with pytest.raises(StoreError, match="found values of other files"):
            import_features(tmp_path / "far.h5", rows, out, layer=name)
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    for name, content in {"cut.npy": b"\x93NUMPY", "cut.npz": b"PK", "cut.h5": b"x"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "words.csv").write_text("u,v\n1,two\n")
    for name in ("objects.npy", "cut.npy", "cut.npz", "cut.h5", "words.csv", "none.npy"):
        with pytest.raises(StoreError, match=f"asked to import .*{name}, found"):
            import_features(tmp_path / name, rows, out)
    with pytest.raises(ConfigError, match="found no kind of file that is read"):
        import_features(tmp_path / "x.pt", rows, out)
    np.savez(tmp_path / "plain.npz", values)
    with pytest.raises(ConfigError, match="without a table, found none in it; give --table"):
        import_features(tmp_path / "plain.npz", None, out)


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "h5", "parquet"])
def test_damaged_files_end_in_a_message_or_in_a_store(rows, values, tmp_path, kind):
    good, bad, out = (tmp_path / name for name in (f"good.{kind}", f"bad.{kind}", "o.h5"))
    if kind == "h5":
        with h5py.File(good, "w") as file:
            file.create_dataset("x", data=values, compression="gzip")
    else:
        if kind == "parquet":
            pytest.importorskip("pyarrow")
        np.save(tmp_path / "x.npy", values)
        store = import_features(tmp_path / "x.npy", rows, tmp_path / "s.h5")
        written = export_features(store, good, kind)
        good = written / "x.npy" if kind == "npy" else written
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(40):
        content = bytearray(good.read_bytes())
        for place in rng.integers(len(content), size=rng.integers(1, 4)):
            content[place] = rng.integers(256)
        bad.write_bytes(content[: rng.integers(len(content))] if rng.random() < 0.2 else content)
        out.unlink(missing_ok=True)
        try:
            import_features(bad, rows, out)
        except DecafError:
            refused += 1
        else:
            assert verify(out) == []
    assert refused >= 8


def test_views_do_not_fit_a_csv_and_no_layer_is_invented(make, table, tmp_path):
    store = write(make, tmp_path / "a.h5", table, n_views=2)
    with pytest.raises(StoreError, match="2 views of an image"):
        export_features(store, tmp_path / "out.csv", "csv")
    with pytest.raises(ConfigError, match="unknown layer 'fc9'"):
        export_features(store, tmp_path / "out", "npy", layers="fc9")
    assert not list(tmp_path.glob("out*"))


def test_no_file_is_written_over(make, table, tmp_path):
    store = write(make, tmp_path / "a.h5", table)
    with pytest.raises(ConfigError, match=r"name that ends in \.csv"):
        export_features(store, store, "csv")
    for form in ("csv", "npz"):
        out = export_features(store, tmp_path / f"out.{form}", form)
        before = out.read_bytes()
        with pytest.raises(StoreError, match="found it there; delete it first"):
            export_features(store, out, form)
        assert out.read_bytes() == before
    export_features(store, tmp_path / "out", "npy")
    with pytest.raises(DataError, match="asked to write"):
        export_features(store, tmp_path / "out", "npy")
    assert verify(store) == []

"""Images in a folder, a tar archive and at a URL are the same images to every command."""

import math
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from flat import extract, predict, train
from PIL import Image

from decaf.analysis.inspection import inspect_store
from decaf.analysis.thumbnails import data_uri, image_files
from decaf.analysis.top_images import top_images
from decaf.backbones import TorchBackbone, load_backbone
from decaf.datasets import ImageFiles, load_dataset, read_image
from decaf.datasets.patch_tables import patch_table
from decaf.errors import DataError
from decaf.finetuning.samples import TrainingImages
from decaf.images.views import make_view
from decaf.records import Images
from decaf.report.inspection_page import write_inspection
from decaf.report.plots import plot_embedding, plot_top_images
from decaf.store import FeatureStore
from decaf.types import PatchRule

PLACES = ("folder", "tar", "url")


@pytest.fixture(scope="module")
def net() -> TorchBackbone:
    return load_backbone("decaf-mini", device="cpu")


@pytest.fixture
def places(image_folder: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The same images three times: one lies on its side, and one stands twice, saved anew."""
    copied = Image.open(image_folder / "blue" / "3.png")
    copied.save(image_folder / "red" / "copy.bmp")
    exif = Image.Exif()
    exif[0x112] = 6
    Image.open(image_folder / "red" / "1.png").save(image_folder / "red" / "1.png", exif=exif)
    tar = tmp_path / "images.tar"
    with tarfile.open(tar, "w") as archive:
        for path in sorted(image_folder.glob("*/*")):
            archive.add(path, str(path.relative_to(image_folder)))
    memory = fsspec.filesystem("memory")
    memory.put(str(image_folder), "/one/images", recursive=True)
    yield {"folder": str(image_folder), "tar": str(tar), "url": "memory://one/images"}
    memory.rm("/one", recursive=True)


def _extracted(place: str, tmp_path: Path, net: TorchBackbone) -> Path:
    out = tmp_path / f"{place.replace('/', '-')}.h5"
    return extract(place, backbone=net, layers="pool5", pool="max", out=out, quiet=True)


def _plain(image_id: str) -> str:
    return image_id.removeprefix("images.tar/")


def test_fine_tuning_and_patches_see_the_same_pixels(
    places: dict[str, str], net: TorchBackbone
) -> None:
    seen, boxes = {}, {}
    for place, spec in places.items():
        table = load_dataset(spec)
        samples = TrainingImages(
            table=table, preprocessing=net.preprocessing, view="center", box_scale=None,
            decoder="auto", area=0.5, seed=0, workers=1,
        )  # fmt: skip
        (batch,) = samples.batches([[(row, None) for row in range(len(table.image_ids))]])
        ids = map(_plain, table.image_ids)
        seen[place] = dict(zip(ids, batch, strict=True))
        patches = patch_table(table, PatchRule(scales=(1.0, 2.0)), None)
        assert patches.boxes is not None
        found = zip(map(_plain, patches.image_ids), patches.boxes.tolist(), strict=True)
        boxes[place] = sorted(found)
    for place in PLACES[1:]:
        assert seen[place].keys() == seen["folder"].keys()
        for image_id, pixels in seen[place].items():
            assert torch.equal(pixels, seen["folder"][image_id])
        assert boxes[place] == boxes["folder"]


@pytest.mark.parametrize("place", PLACES)
def test_duplicates_top_images_and_thumbnails(
    places: dict[str, str], tmp_path: Path, net: TorchBackbone, place: str
) -> None:
    spec = places[place]
    store_path = _extracted(spec, tmp_path, net)
    found = inspect_store(store_path, images=Images(spec), quiet=True)
    best = found.duplicates[0]
    ids = {_plain(found.image_ids[row]) for row in (best.first, best.second)}
    assert ids == {"blue/3.png", "red/copy.bmp"}
    assert best.kind == "same image"
    assert not math.isnan(best.agreement)
    page = write_inspection(found, tmp_path / "inspected")[0]
    assert "data:image/jpeg" in page.read_text()
    files = image_files("images", Images(spec))
    assert files is not None
    folder = ImageFiles(Path(places["folder"]))
    with FeatureStore(store_path) as store:
        found_here = top_images(store, net, "pool5", [0, 3], files)
        for image in (image for images in found_here.values() for image in images):
            x0, y0, x1, y1 = image.box
            pixels = read_image(folder, _plain(image.image_id))
            view = make_view(pixels, "center", net.preprocessing)[:, y0:y1, x0:x1]
            np.testing.assert_array_equal(image.crop, view.permute(1, 2, 0).numpy())
        (turned,) = (image_id for image_id in store.image_ids if image_id.endswith("red/1.png"))
    assert data_uri(files, turned) == data_uri(folder, "red/1.png")
    figure = tmp_path / "embedding.png"
    plot_embedding(store_path, method="tsne", out=figure, thumbnails=Images(spec))
    plot_top_images(
        store_path, layer="pool5", units="0-1", out=tmp_path / "top.png", images=Images(spec)
    )
    assert figure.stat().st_size > 0


@pytest.mark.parametrize("spec", ["nowhere", "nowhere.tar", "memory://nowhere/at/all"])
def test_places_without_images_are_said(tmp_path: Path, spec: str) -> None:
    with pytest.raises(DataError, match=r"found no such folder|nowhere"):
        image_files("images", Images(spec))


def _odd_folder(folder: Path) -> int:
    """Put odd files among the images of a folder; return how many entries are given in all."""
    (folder / "blue" / "broken.png").write_bytes((folder / "blue" / "1.png").read_bytes()[:200])
    (folder / "blue" / "empty.jpg").touch()
    (folder / "red" / "text.gif").write_text("root:x:0:0:root:/root:/bin/bash")
    (folder / "red" / "new.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    return 24 + 4


def _only_a_folder_holds(folder: Path) -> int:
    os.mkfifo(folder / "green" / "fifo.jpg")
    (folder / "green" / "itself.jpg").symlink_to("itself.jpg")
    (folder / "green" / "nowhere.jpg").symlink_to("gone.jpg")
    with (folder / "green" / "sparse.tif").open("wb") as file:
        file.truncate(2**40)
    (folder / "green" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    (folder / "green" / "folder.png").mkdir()  # a folder, and no image
    return 5


def _n_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) - 1


@pytest.mark.parametrize("place", ["folder", "tar", "manifest"])
def test_as_many_rows_and_failures_come_out_as_images_go_in(
    image_folder: Path, tmp_path: Path, net: TorchBackbone, place: str
) -> None:
    n_given = _odd_folder(image_folder)
    spec = image_folder
    if place == "tar":
        spec = tmp_path / "odd.tar"
        with tarfile.open(spec, "w") as archive:
            for path in sorted(image_folder.glob("*/*")):
                archive.add(path, str(path.relative_to(image_folder)))
    else:
        n_given += _only_a_folder_holds(image_folder)
    if place == "manifest":
        spec = image_folder / "list.csv"
        files = [
            path.relative_to(image_folder)
            for path in image_folder.glob("*/*")
            if path.name.isascii() and path.name != "folder.png"
        ]
        odd = [
            os.path.relpath("/etc/passwd", image_folder.resolve()),
            "blue/missing.jpg",
            "green/" + "x" * 4000,
            "green/folder.png",
        ]
        paths = [*map(str, files), "green/caf\\xe9.png", *odd]
        lines = [f"{path},{'ab'[n % 2]}" for n, path in enumerate(paths)]
        spec.write_text("\n".join(["path,label", *lines]))
        n_given += len(odd)
    store_path = extract(
        spec, backbone=net, layers="pool5", out=tmp_path / "f", max_failures=0.5, quiet=True
    )
    failures = store_path.with_name(f"{store_path.stem}.failures.csv")
    with FeatureStore(store_path) as store:
        assert store.n_images == n_given
        assert int(store.done.sum()) == 24
        assert _n_lines(failures) == n_given - 24
    told = failures.read_text(encoding="utf-8")
    assert "bash" not in told
    assert "root:" not in told
    model = train(
        spec, backbone="decaf-mini", layers="pool5", device="cpu", features=tmp_path / "f",
        out=tmp_path / "model.safetensors", max_failures=0.5, quiet=True,
    )  # fmt: skip
    if place == "tar":
        return  # `predict` takes files
    what = spec
    if place == "manifest":
        what = image_folder / "all.txt"
        what.write_text("\n".join(paths))
    out = predict(model, [what], out=tmp_path / "p.csv", max_failures=0.5, quiet=True)
    assert _n_lines(out) == 24
    assert _n_lines(tmp_path / "p.failures.csv") == n_given - 24

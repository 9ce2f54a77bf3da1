"""Training, detection and evaluation, from end to end."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
from detection_scenes import MINI, NAMES, QUIET, SMALL, annotation
from PIL import Image
from typer.testing import CliRunner

import decaf
from decaf.cli.app import app
from decaf.detection import detector_training, error_counts, load_boxed, train_detector
from decaf.detection_records import Applied, Detection
from decaf.errors import BackboneError, ConfigError, DataError
from decaf.records import Compute, Net, Source
from decaf.regions.boxes import max_iou
from decaf.report.drawn_boxes import draw_detections


@pytest.fixture(scope="session")
def model(collages, kept, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "crop.safetensors"
    return train_detector(collages, MINI, SMALL, source=kept, compute=QUIET, out=out)


def test_planted_objects_are_found_by_both_routes(collages, kept, model, tmp_path):
    roi = train_detector(
        collages,
        replace(MINI, layers="fc6"),
        replace(SMALL, route="roi"),
        source=kept,
        compute=QUIET,
        out=tmp_path / "roi.safetensors",
    )
    for detector in (model, roi):
        result = decaf.evaluate_detector(detector, collages, source=kept, compute=QUIET)
        assert result.class_names == NAMES
        assert [one.n_objects for one in result.matched] == [4, 4]
        assert np.nanmean(result.ap_area) > 0.9
        assert result.recall[None][0] == 1
        assert list(result.recall) == [100, None]  # of 150 proposals at most
        assert 20 < result.n_proposals <= 150


def test_detections_are_of_the_images_that_are_asked(collages, kept, model, tmp_path):
    files = [collages / "JPEGImages" / f"{number}.png" for number in (13, 15)]
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    out = decaf.detect(
        decaf.Detector.load(model),
        [*files, tmp_path / "broken.jpg"],
        out=tmp_path / "found.csv",
        applied=Applied(min_score=0.0),
        source=kept,
        compute=replace(QUIET, max_failures=0.5),
    )
    with out.open() as file:
        lines = list(csv.DictReader(file))
    assert {line["path"] for line in lines} == set(map(str, files))
    images = load_boxed(collages)
    for file in files:
        objects = images.objects[int(file.stem)]
        own = [line for line in lines if line["path"] == str(file)]
        assert [float(line["score"]) for line in own] == sorted(
            (float(line["score"]) for line in own), reverse=True
        )
        for number, name in enumerate(NAMES):
            best = next(line for line in own if line["class"] == name)
            box = np.array([[float(best[edge]) for edge in ("x1", "y1", "x2", "y2")]])
            assert max_iou(box, objects.boxes[objects.labels == number])[0] > 0.5
    with (tmp_path / "found.failures.csv").open() as file:
        assert [line["reason"][:12] for line in csv.DictReader(file)] == ["not an image"]


def test_a_stopped_training_goes_on_to_the_same_detector(
    collages, kept, model, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(detector_training, "SECONDS_BETWEEN_STATES", 0.0)
    out, whole_mine = tmp_path / "again.safetensors", detector_training.mine

    def stopped(regions, rule, start, after):
        def stop(at):
            after(at)
            if at.n_done == 7:
                raise KeyboardInterrupt

        return whole_mine(regions, rule, start, stop)

    monkeypatch.setattr(detector_training, "mine", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_detector(collages, MINI, SMALL, source=kept, compute=QUIET, out=out)
    monkeypatch.setattr(detector_training, "mine", whole_mine)
    train_detector(collages, MINI, SMALL, source=kept, compute=QUIET, out=out)
    assert "7 images are done" in capsys.readouterr().err
    assert out.read_bytes() == model.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["again.safetensors"]


def test_the_file_of_a_detector_is_checked(model, tmp_path):
    detector = decaf.Detector.load(model)
    assert detector.class_names == NAMES
    assert detector.how == SMALL
    for name, change in {
        "cut": lambda data: data[:-9],
        "flipped": lambda data: data[:-9] + bytes([data[-9] ^ 64]) + data[-8:],
        "other": lambda _: b"no tensors",
    }.items():
        (tmp_path / name).write_bytes(change(model.read_bytes()))
        with pytest.raises(DataError, match="asked for the detector"):
            decaf.Detector.load(tmp_path / name)
    replace(detector, decoder="crystal").save(tmp_path / "word.safetensors")
    with pytest.raises(DataError, match="decoder is 'crystal'"):
        decaf.Detector.load(tmp_path / "word.safetensors")
    (model.parent / "a.png").touch()
    replace(detector, weights_sha256="0" * 64).save(tmp_path / "net.safetensors")
    with pytest.raises(BackboneError, match="train the model again"):
        decaf.detect(tmp_path / "net.safetensors", [model.parent / "a.png"], out=tmp_path / "x.csv")


def test_proposals_from_a_file_take_the_place_of_others(collages, kept, model, tmp_path, capsys):
    images = load_boxed(collages).side("test")
    lines = ["path,x1,y1,x2,y2,score"]
    read = Applied(proposals=str(tmp_path / "boxes.csv"))
    for name, objects in zip(images.table.image_ids, images.objects, strict=True):
        lines += [f"{name},{','.join(map(str, box))},1" for box in objects.boxes.tolist()]
        lines += [f"{name},0,0,30,30,2", f"{name},900,0,930,30,2"]
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    options = {"source": kept, "compute": QUIET}
    found = decaf.evaluate_detector(model, collages, applied=read, **options)
    assert found.n_proposals == 3
    assert "4 proposals lie outside their image" in capsys.readouterr().err
    assert found.recall[None].min() == 1
    (tmp_path / "boxes.csv").write_text("\n".join(lines[:3]))
    with pytest.raises(DataError, match="has no boxes of"):
        decaf.evaluate_detector(model, collages, applied=read, **options)
    with pytest.raises(ConfigError, match="unknown proposals 'edges'"):
        decaf.evaluate_detector(model, collages, applied=Applied(proposals="edges"), **options)


def test_false_detections_have_their_kinds(collages, kept, model):
    result = decaf.evaluate_detector(model, collages, source=kept, compute=QUIET)
    counts = error_counts(result, similar=[NAMES])
    assert counts.shape == (2, 4)
    assert not counts[:, 2].any()  # there are no classes but two similar ones
    for one, row in zip(result.matched, counts, strict=True):
        assert row.sum() == min(one.n_objects, (one.hits < 0).sum())


def test_images_and_objects_that_cannot_be_used_are_said(collages, kept, tmp_path, capsys):
    """An image that is cut short fails; an object outside its image, and one of no image, go."""
    home = shutil.copytree(collages, tmp_path / "voc")
    shutil.rmtree(home / "ImageSets")
    whole = (home / "JPEGImages" / "3.png").read_bytes()
    (home / "JPEGImages" / "3.png").write_bytes(whole[: len(whole) // 2])
    (home / "JPEGImages" / "4.png").unlink()
    (home / "Annotations" / "5.xml").write_text(
        annotation(("disc", (300, 300, 340, 340)), ("stripes", (100, 50, 900, 900)))
    )
    (home / "Annotations" / "6.xml").unlink()
    source = Source(features=tmp_path / "features")
    out = train_detector(
        home,
        MINI,
        SMALL,
        source=source,
        compute=Compute(max_failures=0.2),
        out=tmp_path / "m.safetensors",
    )
    assert "1 images without an annotation are left out (6" in capsys.readouterr().err
    (failures,) = (tmp_path / "features").glob("*.failures.csv")
    with failures.open() as file:
        assert {line["image_id"] for line in csv.DictReader(file)} == {
            "JPEGImages/3.png", "JPEGImages/4.jpg"
        }  # fmt: skip
    assert decaf.Detector.load(out).class_names == NAMES


def test_images_without_objects_are_refused(model, tmp_path):
    lines = ["path,label,x1,y1,x2,y2,difficult,split"]
    for name, rest in (("a", "disc,0,0,9,9,1,test"), ("b", ",,,,,,train")):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{name}.png")
        lines.append(f"{name}.png,{rest}")
    (tmp_path / "few.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="to test on 1 images of few, found no object of disc"):
        decaf.evaluate_detector(model, tmp_path / "few.csv", compute=QUIET)
    with pytest.raises(DataError, match="to train on 1 images of few, found no object"):
        train_detector(tmp_path / "few.csv", MINI, out=tmp_path / "m.safetensors", compute=QUIET)
    with pytest.raises(DataError, match=r"absent\.csv, found: No such file"):
        load_boxed(tmp_path / "absent.csv")


def test_proposals_that_cannot_be_kept_are_said(collages, tmp_path):
    (tmp_path / "proposals").write_text("no folder")
    source = Source(features=tmp_path)
    with pytest.raises(DataError, match="asked to write"):
        train_detector(
            collages, MINI, SMALL, source=source, compute=QUIET, out=tmp_path / "m.safetensors"
        )


def test_wrong_options_are_refused_before_any_work(collages, tmp_path):
    for wrong, message in (
        ({"net": Net("decaf-mini", layers="fc6,fc7")}, "a model has one layer"),
        ({"detection": Detection(context_px=32), "net": MINI}, "less than half of the 64 px"),
        ({"source": Source(group_by="1")}, "detection does not use group_by"),
        ({"source": Source(decoder="gpu"), "net": MINI}, "regions by decoder 'gpu'"),
        ({"net": Net("squeezenet1_1", weights="random"), "detection": Detection(route="roi")},
         "found no maps that pool5 pools"),
    ):  # fmt: skip
        options = {"source": Source(features=tmp_path / "f"), "compute": QUIET} | wrong
        with pytest.raises(ConfigError, match=message):
            train_detector(collages, out=tmp_path / "m.safetensors", **options)
    for verb, given, wrong in (
        (decaf.detect, ["a.png"], {"source": Source(limit=3)}),
        (decaf.detect, ["a.png"], {"source": Source(decoder="pillow")}),
        (decaf.evaluate_detector, collages, {"applied": Applied(min_score=0.5)}),
        (decaf.evaluate_detector, collages, {"source": Source(group_by="1")}),
    ):
        with pytest.raises(ConfigError, match="does not use"):
            verb(tmp_path / "m.safetensors", given, out=tmp_path / "x.csv", **wrong)
    with pytest.raises(ConfigError, match="unknown proposals 'banana'; choose one of: selective"):
        Detection(proposals="banana")
    with pytest.raises(ConfigError, match="found no boxes; give voc2007"):
        train_detector(tmp_path, out=tmp_path / "m.safetensors")


def test_the_commands(collages, kept, tmp_path):
    home, runner = str(tmp_path), CliRunner()
    model, boxes = f"{home}/m.safetensors", ["--features", str(kept.features), "--quiet"]
    small = ["--max-proposals", "150", "--context-px", "6"]
    net = ["--backbone", "decaf-mini", "--device", "cpu", "--layers", "pool5"]
    train = ["detect", "train", "--dataset", str(collages), "--out", model]
    done = runner.invoke(app, [*train, *net, *small, *boxes])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == model
    image = str(collages / "JPEGImages" / "14.png")
    asked = ["detect", "run", model, image, "--out", f"{home}/d.csv", "--draw", f"{home}/drawn"]
    done = runner.invoke(app, [*asked, *boxes])
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [f"{home}/d.csv", f"{home}/drawn/14.png"]
    with Image.open(f"{home}/drawn/14.png") as drawn:
        assert min(drawn.size) > 300
    assert "no box is drawn" not in done.stderr
    done = runner.invoke(app, [*asked, "--min-score", "1e6", *boxes])
    assert "no box is drawn on 1 of 1 images" in done.stderr
    asked = ["detect", "evaluate", model, "--dataset", str(collages), "--out", f"{home}/ap.csv"]
    done = runner.invoke(app, [*asked, "--figure", f"{home}/errors.svg", *boxes])
    assert done.exit_code == 0, done.output
    assert "at IoU 0.5" in done.stdout
    assert "stripes" in (tmp_path / "errors.svg").read_text()
    with (tmp_path / "ap.csv").open() as file:
        assert [line["class"] for line in csv.DictReader(file)] == [*NAMES, "mean"]


@pytest.mark.data
def test_genuine_images_of_voc(assets, kept, tmp_path):
    """Two truncated images are failures, and nothing stops."""
    home = tmp_path / "voc"
    shutil.copytree(assets / "data/voc-mini/VOCdevkit/VOC2007", home)
    broken = assets / "data/voc-mini/broken"
    for name in ("2007_000027.jpg", "2007_000027.xml"):
        folder = "Annotations" if name.endswith("xml") else "JPEGImages"
        shutil.copy(broken / name, home / folder / name)
    shutil.copy(broken / "000001.jpg", home / "JPEGImages" / "000001.jpg")
    options = {"source": kept, "compute": Compute(max_failures=0.5, quiet=True)}
    model = train_detector(home, MINI, SMALL, out=tmp_path / "m.safetensors", **options)
    result = decaf.evaluate_detector(model, home, **options)
    assert set(result.failures) == {"JPEGImages/000001.jpg", "JPEGImages/2007_000027.jpg"}
    assert np.isfinite(np.nanmean(result.ap_11pt))


def test_images_whose_boxes_all_score_low_are_told(tmp_path, capsys):
    found = tmp_path / "found.csv"
    for name in ("a", "b"):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{name}.png")
    lines = [f"{tmp_path}/{name}.png,cup,{score},1,1,9,9" for name, score in (("a", -1), ("b", 1))]
    found.write_text("\n".join(["path,class,score,x1,y1,x2,y2", *lines]))
    Image.new("RGB", (40, 30)).save(tmp_path / "none.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    asked = [str(tmp_path / f"{name}.png") for name in ("a", "b", "none", "broken")]
    drawn = draw_detections(found, tmp_path / "drawn", images=asked)
    assert [one.name for one in drawn] == ["a.png", "b.png", "none.png"]
    told = capsys.readouterr().err
    assert "on 2 of 3 images" in told
    assert "a.png" in told
    (tmp_path / "b.png").unlink()
    with pytest.raises(DataError, match="cannot be read any more"):
        draw_detections(found, tmp_path / "drawn", images=asked)

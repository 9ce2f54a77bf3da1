"""`decaf search` from images, ids and stores to answers, a file and a page."""

import csv
import shutil

import numpy as np
import pytest
from flat import extract
from typer.testing import CliRunner

import decaf
from decaf.cli.app import app
from decaf.errors import BackboneError, ConfigError, DataError, StoreMismatchError
from decaf.records import Compute, Search, SearchTest
from decaf.search_scores import evaluate_search
from tests.store.test_searched import make_store

QUIET = Compute(device="cpu", quiet=True, workers=1)
NET = {"backbone": "decaf-mini", "weights": "random", "layers": "features.pool2", "pool": "avg",
       "device": "cpu", "quiet": True}  # fmt: skip


@pytest.fixture
def store(image_folder, tmp_path):
    return extract(image_folder, view="warp", out=tmp_path / "own.h5", **NET)


def test_an_image_finds_itself_and_its_colour(store, image_folder, tmp_path):
    asked = tmp_path / "asked.png"
    shutil.copy(image_folder / "red" / "3.png", asked)
    (answer,) = decaf.search(store, [asked], Search(k=8), compute=QUIET)
    assert (answer.query, answer.label, answer.hits[0].image_id) == (str(asked), "", "red/3.png")
    assert answer.hits[0].distance < 1e-6
    assert [hit.label for hit in answer.hits] == ["red"] * 8
    assert {hit.right for hit in answer.hits} == {None}


def test_ids_images_and_stores_may_ask_together(store, image_folder, tmp_path):
    other = extract(image_folder, limit=6, view="warp", out=tmp_path / "other.h5", **NET)
    asked = ["red/0.png", other, image_folder / "green"]
    answers = decaf.search(store, asked, Search(k=1), compute=QUIET)
    assert len(answers) == 8 + 1 + 6
    assert all(
        answer.query == str(image_folder / answer.hits[0].image_id) for answer in answers[:8]
    )
    assert all(answer.query == answer.hits[0].image_id for answer in answers[9:])
    assert answers[8].query == "red/0.png"
    assert answers[8].hits[0].image_id != "red/0.png"
    assert answers[8].hits[0].right


def test_other_weights_are_refused(store, image_folder, tmp_path):
    other = extract(image_folder, view="warp", out=tmp_path / "other.h5", **NET | {"seed": 1})
    with pytest.raises(StoreMismatchError, match=r"found weights_sha256 .* extract both with one"):
        decaf.search(store, [other])
    with pytest.raises(BackboneError, match="give those with --weights"):
        decaf.search(other, [image_folder / "red" / "0.png"], compute=QUIET)


def test_wrong_queries_are_refused(store, tmp_path):
    with pytest.raises(ConfigError, match=r"no image of that id in .*, and no file or folder"):
        decaf.search(store, ["red/99.png"])
    with pytest.raises(ConfigError, match="without queries"):
        decaf.search(store, [])
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be used"):
        decaf.search(store, [tmp_path / "broken.jpg"], compute=QUIET)
    imported = make_store(tmp_path / "imported.h5")
    with pytest.raises(ConfigError, match="found that its rows are imported"):
        decaf.search(imported, [tmp_path / "broken.jpg"])


def test_an_id_that_is_another_file_too_is_refused(store, image_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(image_folder)
    (by_id,) = decaf.search(store, ["red/0.png"], Search(k=1))  # the image itself: no doubt
    assert by_id.query == "red/0.png"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "red").mkdir()
    shutil.copy(image_folder / "blue" / "1.png", tmp_path / "red" / "0.png")
    with pytest.raises(ConfigError, match=r"another one in the file here; give the file as /"):
        decaf.search(store, ["red/0.png"])
    (answer,) = decaf.search(store, [tmp_path / "red" / "0.png"], Search(k=1), compute=QUIET)
    assert answer.hits[0].image_id == "blue/1.png"


def test_no_more_answers_than_images(store, image_folder):
    file = image_folder / "red" / "0.png"
    by_id, by_image = decaf.search(store, ["red/0.png", file], Search(k=99), compute=QUIET)
    assert {len(by_id.hits), len(by_image.hits)} == {23, 24}


def run(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_answers_are_written_with_paths_labels_and_distances(store, tmp_path):
    out = tmp_path / "hits.csv"
    assert run("search", store, "red/0.png", "blue/1.png", "--k", 3, "--out", out) == f"{out}\n"
    lines = list(csv.DictReader(out.read_text().splitlines()))
    assert [line["rank"] for line in lines] == ["1", "2", "3"] * 2
    assert {line["label"] for line in lines[:3]} == {"red"}
    assert lines[3]["query"] == "blue/1.png"
    assert 0 <= float(lines[0]["distance"]) <= float(lines[2]["distance"])
    assert run("search", store, "red/0.png", "blue/1.png", "--k", 3) == out.read_text()
    with pytest.raises(ConfigError, match=r"ends in \.csv or \.html"):
        run("search", store, "red/0.png", "--out", tmp_path / "hits.txt")


def test_an_index_is_built_asked_and_refused_for_another_layer(store, tmp_path):
    folder = tmp_path / "index"
    told = run("index", "build", store, "--kind", "spherical:64", "--recall", 1, "--out", folder)
    assert '"n_rows": 24' in told
    assert run("index", "info", folder) == told
    asked = ("search", store, "red/0.png", "--k", "3")
    assert run(*asked, "--index", folder) == run(*asked)
    with pytest.raises(ConfigError, match="asked for metric l2"):
        run(*asked, "--index", folder, "--metric", "l2")
    other = make_store(tmp_path / "other.h5", ids=[f"red/{n}.png" for n in range(6)])
    with pytest.raises(StoreMismatchError, match="found that it is of another store"):
        run("search", other, "red/0.png", "--index", folder)


def test_the_page_shows_the_query_and_marks_its_answers(store, image_folder, tmp_path):
    out = tmp_path / "hits.html"
    asked = ["search", str(store), "red/0.png", "--out", str(out)]
    done = CliRunner().invoke(app, [*asked, "--k", "12", "--images", str(image_folder)])
    assert "not shown" not in done.stderr
    page = out.read_text()
    assert page.count("<img") == 13
    places = [page.index(f'<figure class="{kind}"') for kind in ("query", "right", "wrong")]
    assert places == sorted(places)
    assert "of 12 answers bear the query" in page
    done = CliRunner().invoke(app, asked)
    assert out.read_text().count("no image") == 11
    assert "11 of 11 images on the page are not shown" in done.stderr


def test_measures_of_planted_features(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 20)
    X = (rng.normal(size=(6, 12))[labels] + 0.05 * rng.normal(size=(120, 12))).astype(np.float32)
    store = make_store(tmp_path / "s.h5", X, [f"{n}.jpg" for n in range(120)], labels % 2)
    scores, floors = evaluate_search(
        store, SearchTest(dims="0,4", codes="float32,spherical:64,hamming:64")
    )
    assert [(one.n_features, one.code) for one in scores[:4]] == [
        (12, "float32"), (12, "spherical:64"), (12, "hamming:64"), (4, "float32"),
    ]  # fmt: skip
    assert scores[0].values["precision@10"] == 1  # 19 rows of the query's own cluster come first
    assert scores[0].values["mAP"] > floors["mAP"]
    assert floors["precision@10"] == pytest.approx(59 / 119)
    assert [one.bytes_a_row for one in scores[:3]] == [48, 8, 8]
    with pytest.raises(ConfigError, match="asked for 13 dimensions of fc7, found 12 features of"):
        evaluate_search(store, SearchTest(dims="0,13"))
    with pytest.raises(ConfigError, match="unknown index 'PQ'"):
        evaluate_search(store, SearchTest(codes="float32 PQ"))
    with pytest.raises(DataError, match="which has no rows to test"):
        evaluate_search(store, SearchTest(queries="official"))


def test_images_of_a_group_find_each_other(image_folder, tmp_path):
    store = extract(
        image_folder, group_by="[0-9]+[.]png", view="warp", out=tmp_path / "g.h5", **NET
    )
    ((score,), floors) = evaluate_search(store, SearchTest(queries="groups"))
    assert floors["precision@1"] == pytest.approx(2 / 23)  # two more colours of one number
    assert score.values["precision@1"] < 0.2  # here a colour tells more than a number
    plain = extract(image_folder, view="warp", out=tmp_path / "plain.h5", **NET)
    with pytest.raises(DataError, match="found none; extract with --group-by"):
        evaluate_search(plain, SearchTest(queries="groups"))

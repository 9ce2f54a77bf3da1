import json
from dataclasses import replace

import numpy as np
import pytest

from decaf.errors import ConfigError, DataError
from decaf.protocols import PROTOCOLS, PublishedProtocol, Selection, kept_splits
from decaf.results.identity import split_digest

RULE = PublishedProtocol(
    "p", "shots", 2, "top1", Selection("kfold", folds=3), train_per_class=3, seed=4
)


def digests(splits):
    return [[split_digest(split) for split in some] for some in splits]


@pytest.fixture
def table(make_table):
    return make_table([6, 8])


@pytest.mark.parametrize("selection", [RULE.selection, Selection("holdout", share=0.3)])
def test_splits_are_written_once_and_then_replayed(table, tmp_path, selection):
    file, rule = tmp_path / "new" / "splits.json", replace(RULE, selection=selection)
    rules = [rule, replace(rule, train_per_class=4)]
    drawn = kept_splits(rules, table)
    written = kept_splits(rules, table, file=file)
    text = file.read_text()
    assert digests(written) == digests(kept_splits(rules, table, file=file)) == digests(drawn)
    assert file.read_text() == text
    assert digests(kept_splits(rules[1:], table, file=file)) == digests(drawn[1:])
    first = json.loads(text)["drawn"][0]
    assert (first["protocol"], first["shots"], first["seed"]) == ("p", 3, 4)
    assert first["splits"][0]["test"] == [table.image_ids[row] for row in drawn[0][0].test]


def test_a_file_names_images_whatever_their_order(table, tmp_path):
    file = tmp_path / "splits.json"
    ((split, _),) = kept_splits([RULE], table, file=file)
    order = np.random.default_rng(0).permutation(14)
    turned = replace(
        table,
        image_ids=tuple(table.image_ids[row] for row in order),
        labels=table.labels[order],
    )
    ((found, _),) = kept_splits([RULE], turned, file=file)
    assert {turned.image_ids[row] for row in found.train} == {
        table.image_ids[row] for row in split.train
    }


def test_labels_of_low_shots_and_rows_of_one_image_come_back(make_table, tmp_path):
    rng = np.random.default_rng(0)
    table = make_table(
        name="voc2007",
        labels=rng.choice(np.array([1, 0, -1], np.int8), (120, 2), p=[0.2, 0.1, 0.7]),
        official=np.repeat(np.array([[1], [3]], np.int8), [100, 20], axis=0),
        boxes=np.zeros((120, 4), np.float32),
    )
    table = replace(table, image_ids=tuple(f"{row // 2}.jpg" for row in range(120)))
    rules = [replace(PROTOCOLS["voc2007"]["fair-lowshot"], train_per_class=2)]
    drawn = kept_splits(rules, table, file=tmp_path / "x.json")
    assert digests(kept_splits(rules, table, file=tmp_path / "x.json")) == digests(drawn)
    assert drawn[0][0].labels is not None


def test_a_file_of_other_images_is_refused_with_counts(table, make_table, tmp_path):
    file = tmp_path / "splits.json"
    kept_splits([RULE], table, file=file)
    with pytest.raises(DataError, match=r"names \d of \d images that own does not have here"):
        kept_splits([RULE], make_table([4, 8]), file=file)
    with pytest.raises(DataError, match=r"names 1 of \d images .* first '5.jpg'"):
        kept_splits([RULE], table, np.arange(14) != 5, file)


@pytest.mark.parametrize("change", [{"seed": 5}, {"n_splits": 1}, {"train_per_class": 2}])
def test_a_file_of_other_splits_is_refused_by_what_it_holds(table, tmp_path, change):
    file = tmp_path / "splits.json"
    kept_splits([RULE], table, file=file)
    held = r"found in .*: protocol p, 3 training images a class, seed 4, 2 splits"
    with pytest.raises(ConfigError, match=held):
        kept_splits([replace(RULE, **change)], table, file=file)


def test_a_given_file_may_break_no_group(table, tmp_path):
    file = tmp_path / "splits.json"
    kept_splits([RULE], table, file=file)
    with pytest.raises(DataError, match=r"splits.json of own has [1-7] of 7 groups on both"):
        kept_splits([RULE], replace(table, groups=tuple("aabbccddeeffgg")), file=file)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda split: split["test"].append(split["train"][0]), "1 images that train and test"),
        (lambda split: split["train"].append(split["train"][0]), "an image twice"),
        (lambda split: split["validation"][0].append(split["test"][0]), "1 that validate without"),
        (lambda split: split["test"].clear(), "to train and 0 to test"),
        (lambda split: split.pop("train"), "cannot be read"),
        (lambda split: split.update(labels=[1]), "cannot be read"),
        (lambda split: split.update(train=split["train"][:3], validation=[]), "trains none of it"),
    ],
)
def test_what_was_written_wrongly_is_refused(table, tmp_path, edit, message):
    file = tmp_path / "splits.json"
    kept_splits([RULE], table, file=file)
    content = json.loads(file.read_text())
    edit(content["drawn"][0]["splits"][0])
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        kept_splits([RULE], table, file=file)


@pytest.mark.parametrize("text", ['{"format": "other"}', "", "[]", '{"format": "decaf-splits-2"}'])
def test_what_is_no_split_file_is_refused(table, tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"split file .*x.json"):
        kept_splits([RULE], table, file=tmp_path / "x.json")

from dataclasses import fields, replace

import pytest

from decaf.errors import StoreError
from decaf.store.provenance import Provenance


def test_json_round_trip_keeps_value_and_digest(make):
    provenance = make.provenance()
    again = Provenance.from_json(provenance.to_json())
    assert again == provenance
    assert again.digest() == provenance.digest()
    assert len(provenance.digest()) == 64


def test_order_of_versions_does_not_change_the_digest(make):
    one = make.provenance(versions={"a": "1", "b": "2"})
    other = make.provenance(versions={"b": "2", "a": "1"})
    assert one.digest() == other.digest()


def test_every_field_changes_the_digest_and_is_named(make):
    provenance = make.provenance()
    other_values = {
        "n_images": 13,
        "preprocessing": replace(provenance.preprocessing, resize_px=300),
        "views": ("warp",),
        "layers": ("fc7",),
        "versions": {"torch": "2.10", "pillow": "12.0"},
        "arithmetic": {"features": "1", "convolutions": "winograd"},
    }
    for field in fields(Provenance):
        if field.name == "weights":
            continue
        changed = replace(provenance, **{field.name: other_values.get(field.name, "other")})
        assert changed.digest() != provenance.digest()
        (line,) = provenance.differences(changed)
        assert line.startswith(field.name)


def test_weights_are_what_their_digest_says_whatever_they_are_called(make):
    one, renamed = make.provenance(weights="imagenet"), make.provenance(weights="copy.pth")
    assert one.digest() == renamed.digest()
    assert one.covers(renamed)
    assert one.differences(renamed) == []
    assert Provenance.from_json(renamed.to_json()).weights == "copy.pth"
    assert not one.covers(make.provenance(weights_sha256="ef" * 32))


def test_differences_say_both_values_of_the_nested_field(make):
    asked = make.provenance()
    found = replace(
        asked, preprocessing=replace(asked.preprocessing, resize_px=300), versions={"torch": "2.10"}
    )
    assert asked.differences(found) == [
        "preprocessing.resize_px: asked 256, found 300",
        "versions.pillow: asked 11.0, found None",
    ]


def test_a_store_covers_fewer_layers_and_nothing_else(make):
    stored = make.provenance(layers=("pool5", "fc6", "fc7"))
    assert stored.covers(stored)
    assert stored.covers(make.provenance(layers=("fc7", "fc6")))
    assert not stored.covers(make.provenance(layers=("fc6", "fc8")))
    assert not stored.covers(make.provenance(layers=("fc6",), pooling="avg"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"preprocessing": {}}', "null"])
def test_other_text_is_refused(text):
    with pytest.raises(StoreError, match="not one"):
        Provenance.from_json(text)

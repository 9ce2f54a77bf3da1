from decaf.store import find_store, store_name


def test_name_says_data_set_backbone_and_digest(make):
    provenance = make.provenance(dataset="my images/2024")
    expected = f"my-images-2024-alexnet-{provenance.digest()[:12]}.h5"
    assert store_name(provenance) == expected


def test_the_narrowest_store_that_covers_is_found(make, tmp_path):
    make.store(tmp_path / "a.h5")
    assert find_store(tmp_path, make.provenance(layers=("fc6",))) == tmp_path / "a.h5"
    assert find_store(tmp_path, make.provenance()) == tmp_path / "a.h5"
    assert find_store(tmp_path, make.provenance(pooling="max")) is None
    assert find_store(tmp_path, make.provenance(layers=("fc6", "fc7"))) is None


def test_unfinished_and_foreign_files_are_passed_over(make, tmp_path):
    make.writer(tmp_path / "a.h5").close()
    (tmp_path / "foreign.h5").write_text("not a store")
    assert find_store(tmp_path, make.provenance()) is None
    assert find_store(tmp_path / "none", make.provenance()) is None

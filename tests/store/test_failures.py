import pandas as pd

from decaf.store.failures import FailureLog

IDS = ("a.jpg", "b,c.jpg", "d.jpg", "é.jpg")


def test_sorted_rows_with_ids_and_reasons(tmp_path):
    path = tmp_path / "x.failures.csv"
    log = FailureLog(path, IDS)
    for row, reason in ((3, "zero bytes"), (1, 'says "no",\nand stops'), (0, "truncated")):
        log.add(row, reason)
    log.flush()
    table = pd.read_csv(path)
    assert list(table.columns) == ["row", "image_id", "reason"]
    assert table["row"].tolist() == [0, 1, 3]
    assert table["image_id"].tolist() == ["a.jpg", "b,c.jpg", "é.jpg"]
    assert table["reason"].tolist() == ["truncated", 'says "no",\nand stops', "zero bytes"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert len(log) == 3


def test_the_first_failure_is_written_at_once(tmp_path):
    path = tmp_path / "x.failures.csv"
    log = FailureLog(path, IDS)
    log.add(2, "truncated")
    assert pd.read_csv(path)["row"].tolist() == [2]


def test_no_failure_no_file_and_a_stale_one_goes(tmp_path):
    path = tmp_path / "x.failures.csv"
    path.write_text("stale")
    FailureLog(path, IDS).flush()
    assert not path.exists()

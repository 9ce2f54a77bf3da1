import fcntl
import hashlib
import io
import os
import tarfile
import threading
import zipfile
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from decaf.datasets.fetch import fetch
from decaf.datasets.info import Archive, DatasetInfo
from decaf.errors import DataError


@cache  # archives carry the time of their making
def nested_zip():
    """A zip that holds a tar of images, as Caltech's."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as packed:
        member = tarfile.TarInfo("images/a/1.jpg")
        member.size = 5000
        packed.addfile(member, io.BytesIO(bytes(range(250)) * 20))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as packed:
        packed.writestr("set/images.tar.gz", inner.getvalue())
        packed.writestr("set/notes.txt", "by hand")
    return outer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves one file, and can break off or ignore ranges."""

    daemon_threads = True

    def __init__(self, body):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.break_after, self.ranges, self.asked = body, None, True, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/pets.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted, body = self.headers.get("Range"), self.server.body
        self.server.asked.append(wanted)
        first = int(wanted[6:-1]) if wanted and self.server.ranges else 0
        if first >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body) - first))
        self.end_headers()
        stop, self.server.break_after = self.server.break_after, None
        self.wfile.write(body[first:][:stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server(nested_zip()) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def pets(*urls, body=b"", **options):
    checksum = "sha256:" + hashlib.sha256(body or nested_zip()).hexdigest()
    archive = Archive("pets.zip", urls, checksum=checksum, inner=("set/images.tar.gz",), **options)
    return DatasetInfo("pets", "pets/images", 1, 2, "CC0", "https://pets.example", (archive,))


def unchecked():
    info = pets()
    return replace(info, archives=(replace(info.archives[0], checksum=None),))


def names(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_download_is_checked_and_unpacked_with_what_is_inside(server, tmp_path):
    tree = fetch(pets(server.url), tmp_path)
    assert tree == tmp_path / "pets" / "images"
    assert names(tmp_path) == ["pets/images/a/1.jpg", "pets/set/notes.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets"]


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.break_after = 200
    fetch(pets(server.url), tmp_path)
    assert server.asked == [None, "bytes=200-"]


def test_a_server_without_ranges_starts_anew(server, tmp_path):
    server.break_after, server.ranges = 200, False
    fetch(pets(server.url), tmp_path)
    assert names(tmp_path)[0] == "pets/images/a/1.jpg"


def test_a_part_of_another_file_is_thrown_away(server, tmp_path):
    part = tmp_path / ".pets-download" / "pets.zip.part"
    part.parent.mkdir()
    part.write_bytes(bytes(10**5))
    fetch(pets(server.url), tmp_path)
    assert server.asked == ["bytes=100000-", None]


def test_the_second_source_is_asked_when_the_first_is_dead(server, tmp_path):
    fetch(pets("http://127.0.0.1:9/pets.zip", server.url), tmp_path)
    assert names(tmp_path)[0] == "pets/images/a/1.jpg"


def test_dead_links_say_what_to_do(tmp_path):
    remedy = "get it from https://pets.example, then run `decaf datasets get pets --from pets.zip`"
    with pytest.raises(DataError, match=f"could not be fetched .*; {remedy}"):
        fetch(pets("http://127.0.0.1:9/pets.zip"), tmp_path)
    assert names(tmp_path) == [".pets-download/pets.zip.part"]


def test_another_checksum_is_refused(server, tmp_path):
    with pytest.raises(DataError, match=r"could not be fetched .*does not match the known hash"):
        fetch(pets(server.url, body=b"other"), tmp_path)
    assert not (tmp_path / "pets").exists()
    assert names(tmp_path) == []


@pytest.mark.parametrize("whole_folder", [True, False])
def test_an_archive_of_the_user_is_taken(tmp_path, whole_folder):
    archive = tmp_path / "mine" / "pets.zip"
    archive.parent.mkdir()
    archive.write_bytes(nested_zip())
    fetch(pets(), tmp_path / "data", archive.parent if whole_folder else archive)
    assert names(tmp_path / "data")[0] == "pets/images/a/1.jpg"
    assert archive.exists()


def test_one_of_several_archives_is_taken_by_its_name(server, tmp_path):
    info = pets(server.url)
    lists = tmp_path / "lists.txt"
    lists.write_text("1.jpg")
    both = replace(info, archives=(*info.archives, Archive("lists.txt", ())))
    fetch(both, tmp_path / "data", lists)
    files = ["images/a/1.jpg", "lists.txt", "set/notes.txt"]
    assert names(tmp_path / "data" / "pets") == files
    other = lists.rename(tmp_path / "other.txt")
    with pytest.raises(DataError, match=r"other.txt is none of its archives; give one that is nam"):
        fetch(both, tmp_path / "more", other)


def test_a_streamed_archive_never_lies_on_the_disk(tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("images/1.jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"one"))
    body = packed.getvalue() + bytes(3000)  # what follows the end of a tar counts in its checksum
    with Server(body) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            fetch(pets(running.url, body=body, streamed=True), tmp_path / "right")
            with pytest.raises(
                DataError, match=r"pets\.zip from .* has the sha256 .*, published is"
            ):
                fetch(pets(running.url, body=b"other", streamed=True), tmp_path / "wrong")
            with pytest.raises(DataError, match="could not be fetched"):
                fetch(pets("http://127.0.0.1:9/x", streamed=True), tmp_path / "dead")
        finally:
            running.shutdown()
            thread.join()
    assert names(tmp_path) == ["right/pets/images/1.jpg"]


def test_what_is_there_is_not_touched(tmp_path):
    (tmp_path / "pets" / "images").mkdir(parents=True)
    with pytest.raises(DataError, match="is there already; remove it to get it anew"):
        fetch(pets(), tmp_path)


def test_a_neighbour_is_not_overwritten(tmp_path):
    (tmp_path / "data" / "pets" / "set").mkdir(parents=True)
    (tmp_path / "pets.zip").write_bytes(nested_zip())
    with pytest.raises(DataError, match="holds set already; remove it first"):
        fetch(pets(), tmp_path / "data", tmp_path / "pets.zip")
    assert names(tmp_path / "data") == []


def test_a_wrong_archive_and_a_wrong_path_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="no archive at"):
        fetch(pets(), tmp_path, tmp_path / "gone.zip")
    with zipfile.ZipFile(tmp_path / "cars.zip", "w") as packed:
        packed.writestr("cars/1.jpg", "x")
    with pytest.raises(DataError, match=r"holds no images; no folder .*images; get pets\.zip"):
        fetch(unchecked(), tmp_path / "data", tmp_path / "cars.zip")
    assert list((tmp_path / "data").iterdir()) == []
    with pytest.raises(
        DataError, match=r"cars\.zip has the sha256 .*, published is .*; get it from"
    ):
        fetch(pets(), tmp_path / "data", tmp_path / "cars.zip")
    assert list((tmp_path / "data").iterdir()) == []


LEFT = (".decaf-killed.part/pets/images/a/1.jpg", ".pets-download/pets.zip.part")


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("finished", [True, False])
def test_what_a_killed_run_left_is_removed(tmp_path, left, finished):
    data = tmp_path / "data"
    (tmp_path / "pets.zip").write_bytes(nested_zip())
    if finished:
        fetch(pets(), data, tmp_path / "pets.zip")
    (data / left).parent.mkdir(parents=True)
    (data / left).write_bytes(b"half")
    assert fetch(pets(), data, tmp_path / "pets.zip") == data / "pets" / "images"
    assert [path.name for path in data.iterdir()] == ["pets"]


def test_two_processes_do_not_get_one_data_set_at_once(tmp_path):
    (tmp_path / "pets.zip").write_bytes(nested_zip())
    downloads = tmp_path / "data" / ".pets-download"
    downloads.mkdir(parents=True)
    fd = os.open(downloads, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process is getting this data set"):
            fetch(pets(), tmp_path / "data", tmp_path / "pets.zip")
    finally:
        os.close(fd)
    fetch(pets(), tmp_path / "data", tmp_path / "pets.zip")


def test_a_hostile_archive_leaves_nothing(tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w") as packed:
        for name, target in (("up", ".."), ("out", "up/../..")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            packed.addfile(member)
        member = tarfile.TarInfo("out/OUTSIDE")
        member.size = 4
        packed.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="refused to unpack"):
        fetch(unchecked(), tmp_path / "data", tmp_path / "evil.tar")
    assert names(tmp_path) == ["evil.tar"]
    assert list((tmp_path / "data").iterdir()) == []

"""Downloads from a server on loopback: resumed, repeated, checked, and whole or not there at all."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest
from file_server import FileServer

from gan_kd_ssd import download
from gan_kd_ssd.download import fetch
from gan_kd_ssd.errors import UserError

DATA = os.urandom(300_000)
SHA1, SHA256 = hashlib.sha1(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between attempts, which nobody waits for here."""
    found = []
    monkeypatch.setattr(download, "_pause", found.append)
    return found


@pytest.fixture
def server(pauses):
    with FileServer({"a.bin": DATA}) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "a.bin"


def get(server, path, **more):
    settings = {"sha1": SHA1, "size": len(DATA), "quiet": True, **more}
    return fetch(f"{server.url}/a.bin", path, **settings)


def refused(match, server, path, **more):
    """The message; it is one line, and nothing has appeared under the file's name."""
    with pytest.raises(UserError, match=match) as caught:
        get(server, path, **more)
    assert "\n" not in str(caught.value) and not path.exists()
    return str(caught.value)


def parts(path):
    return [p for p in path.parent.iterdir() if p.suffix == ".part"]


def test_a_file_arrives_whole_in_a_folder_that_is_made(server, path):
    assert get(server, path, sha256=SHA256) == path
    assert path.read_bytes() == DATA and not parts(path)


def test_a_file_that_is_there_and_right_is_not_asked_for_again(server, path):
    get(server, path)
    get(server, path)
    assert len(server.requests) == 1
    path.write_bytes(DATA[:-1] + b"x")
    get(server, path)
    assert path.read_bytes() == DATA and len(server.requests) == 2


def test_a_cut_connection_goes_on_where_it_broke_off(server, path, pauses):
    server.cut_after = [131_072, 65_536]
    get(server, path)
    assert path.read_bytes() == DATA and pauses == [1, 2]
    assert [asked for _, asked in server.requests] == [None, "bytes=131072-", "bytes=196608-"]


def test_the_next_call_goes_on_as_well(server, path):
    server.cut_after = [131_072]
    assert "131072 bytes are kept" in refused("broke off", server, path, attempts=1)
    get(server, path, attempts=1)
    assert path.read_bytes() == DATA and server.requests[-1] == ("a.bin", "bytes=131072-")


def test_without_a_digest_parts_are_never_put_together(server, path):
    server.cut_after = [131_072]
    get(server, path, sha1=None)
    assert path.read_bytes() == DATA
    assert [asked for _, asked in server.requests] == [None, None]


def test_a_server_that_sends_everything_again_is_understood(server, path):
    server.ranges, server.cut_after = False, [131_072]
    get(server, path)
    assert path.read_bytes() == DATA and len(server.requests) == 2


def test_a_server_that_does_not_tell_the_length_is_understood(server, path):
    server.lengths = False
    get(server, path)
    assert path.read_bytes() == DATA
    server.cut_after = [5]
    path.unlink()
    get(server, path)  # the size that was given tells that it broke off
    assert path.read_bytes() == DATA


def test_the_first_part_of_another_file_is_thrown_away(server, path):
    path.parent.mkdir()
    (path.parent / f".a.bin.{SHA1[:12]}.part").write_bytes(b"x" * 1000)
    get(server, path)
    assert path.read_bytes() == DATA
    assert [asked for _, asked in server.requests] == ["bytes=1000-", None]


def test_a_part_as_long_as_the_file_or_longer_is_checked_and_replaced(server, path):
    path.parent.mkdir()
    part = path.parent / f".a.bin.{SHA1[:12]}.part"
    for size in (len(DATA), len(DATA) + 1):
        part.write_bytes(b"x" * size)
        get(server, path)
        assert path.read_bytes() == DATA
        path.unlink()
    part.write_bytes(DATA)
    get(server, path)
    assert path.read_bytes() == DATA and len(server.requests) == 2


def test_a_part_that_the_server_cannot_complete_is_replaced(server, path):
    path.parent.mkdir()
    (path.parent / f".a.bin.{SHA1[:12]}.part").write_bytes(b"x" * 400_000)
    get(server, path, size=None)  # the server answers 416
    assert path.read_bytes() == DATA


def test_another_part_than_asked_for_is_not_taken(server, path):
    server.cut_after, server.wrong_ranges = [131_072], True
    refused("another part than asked for", server, path)


def test_a_wrong_digest_or_size_is_refused_and_nothing_is_left(server, path):
    message = refused("sha1", server, path, sha1="0" * 40)
    assert "by hand" in message and str(path) in message and not parts(path)
    assert "sha256" in refused("instead of 0000", server, path, sha256="0" * 64)
    assert "another file" in refused("300000 bytes instead of 5", server, path, size=5)


@pytest.mark.parametrize("code", [404, 403, 401, 410])
def test_an_answer_that_will_not_change_is_given_at_once(server, path, code):
    server.answers = [code]
    assert "a.bin" in refused(f"answered {code}", server, path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [500, 502, 503, 429])
def test_an_answer_that_may_pass_is_asked_for_again(server, path, code, pauses):
    server.answers = [code, code]
    get(server, path)
    assert path.read_bytes() == DATA and pauses == [1, 2]
    path.unlink()
    server.answers = [code] * 3
    assert "asked 3 times" in refused(f"answered {code}", server, path, attempts=3)


def test_a_server_that_stalls_is_given_up(server, path):
    server.stall = threading.Event()
    refused("nothing came for 0.2 s", server, path, timeout=0.2, attempts=2)
    assert len(server.requests) == 2


def test_no_server_is_said_with_its_address(path, pauses):
    with FileServer({}) as server:
        url = server.url
    with pytest.raises(UserError, match=r"no connection \(Connection refused\) \(asked 2 times"):
        fetch(f"{url}/a.bin", path, attempts=2, quiet=True)
    assert pauses == [1]


@pytest.mark.parametrize("url", ["no address", "ftp://x/a.bin", "http://[x/a.bin"])
def test_what_is_no_address_is_refused(path, url):
    with pytest.raises(UserError, match="cannot be asked for"):
        fetch(url, path, quiet=True)


def test_passwords_are_not_shown(server, path):
    url = server.url.replace("http://", "http://me:secret@")
    with pytest.raises(UserError) as caught:
        fetch(f"{url}/b.bin", path, quiet=True)
    assert "secret" not in str(caught.value) and "***@127.0.0.1" in str(caught.value)


def test_a_disk_without_room_is_found_before_the_download(server, path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000))
    assert "are free" in refused("GB", server, path)


def test_a_disk_that_fills_up_keeps_what_came(server, path, monkeypatch):
    server.cut_after = [131_072]
    refused("broke off", server, path, attempts=1)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download, "_pieces", full)
        assert "free some space" in refused("No space left", server, path)
    assert [p.stat().st_size for p in parts(path)] == [131_072]


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        get(server, tmp_path / "file" / "a.bin")


def test_two_processes_download_a_file_once(server, path):
    code = f"""
from gan_kd_ssd.download import fetch
fetch({server.url + "/a.bin"!r}, {str(path)!r}, sha1={SHA1!r})
"""
    root = Path(__file__).resolve().parents[1]
    path.parent.mkdir()
    with download.locked(path.with_name(".a.bin.lock")):
        both = [
            subprocess.Popen([sys.executable, "-c", code], cwd=root, stderr=subprocess.PIPE)
            for _ in range(2)
        ]
        for process in both:
            assert b"waiting for another process" in process.stderr.readline()
        assert not server.requests
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert path.read_bytes() == DATA and len(server.requests) == 1


def test_progress_says_what_is_downloaded_and_checked(server, path, capsys):
    get(server, path, quiet=False)
    told = capsys.readouterr().err
    assert "a.bin: 100%" in told and "checking" in told and "300k/300k" in told

"""Downloads from a server on loopback: retries, resume, verification, complete or absent targets."""

import errno
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gan_kd_ssd.util import download, files
from gan_kd_ssd.util.download import PIECE, Failure, NotThere, Patience, Unreachable, fetch, read
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import Expected
from helpers.file_server import FileServer

ROOT = Path(__file__).resolve().parents[2]
DATA = os.urandom(300_000)
EXPECTED = Expected(hashlib.sha1(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest(), len(DATA))
ONLY_SHA1 = Expected(sha1=EXPECTED.sha1)


@pytest.fixture
def pauses():
    """The pauses between attempts, which nobody waits for here."""
    return []


@pytest.fixture
def server():
    with FileServer({"a.bin": DATA}) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "a.bin"


@pytest.fixture
def get(server, path, pauses):
    """get(expected) -> path of the server's file."""

    def get(expected=EXPECTED, source=None, attempts=5, patience=10, **more):
        patience = Patience(read=patience, attempts=attempts, sleep=pauses.append)
        settings = {"patience": patience, "quiet": True, **more}
        return fetch(source or f"{server.url}/a.bin", path, expected, **settings)

    return get


@pytest.fixture
def refused(get, path):
    """refused(match, …) -> the error; it is one line, and nothing has appeared under the file's name."""

    def refused(match, *given, **more):
        with pytest.raises(UserError, match=match) as caught:
            get(*given, **more)
        assert "\n" not in str(caught.value) and not path.exists()
        return caught.value

    return refused


def part_of(path, expected=EXPECTED):
    """The file that a download is written to until it is whole; its folder is made."""
    path.parent.mkdir(exist_ok=True)
    return path.parent / f".a.bin.{expected.digest[:12]}.part"


def whole(path):
    """The file is there, and nothing else but its empty lock."""
    assert {p.name: p.stat().st_size for p in path.parent.iterdir() if p != path} == {
        ".a.bin.lock": 0
    }
    return path.read_bytes() == DATA


@pytest.mark.parametrize(
    "expected", [EXPECTED, ONLY_SHA1, Expected(sha256=EXPECTED.sha256.upper()), Expected(), None]
)
def test_a_file_arrives_whole_in_a_folder_that_is_made(get, path, expected):
    assert get(expected) == path
    assert whole(path)


def test_a_file_that_is_there_and_right_is_not_asked_for_again(get, server, path, capsys):
    get()
    get()
    assert len(server.requests) == 1 and capsys.readouterr() == ("", "")
    path.write_bytes(DATA[:-1] + b"x")
    get(quiet=False)
    assert whole(path) and len(server.requests) == 2
    assert f"instead of {EXPECTED.sha1}; downloading it again" in capsys.readouterr().err


def test_a_cut_connection_is_resumed_where_it_broke(get, server, path, pauses):
    server.turns["a.bin"] = [("cut", 8 * PIECE + 50), ("cut", 4 * PIECE)]
    get()
    assert whole(path) and pauses == [1, 2]  # longer each time
    assert server.of("a.bin") == [None, f"bytes={8 * PIECE}-", f"bytes={12 * PIECE}-"]


def test_the_next_call_resumes_as_well(get, refused, server, path):
    server.turns["a.bin"] = [("cut", PIECE), 503, 503]
    error = refused(r"answered 503.*3 attempts", attempts=3)
    assert f"{PIECE} bytes are kept" in str(error) and isinstance(error, Unreachable)
    assert part_of(path).read_bytes() == DATA[:PIECE]
    get(attempts=1)
    assert whole(path) and server.requests[-1] == ("a.bin", f"bytes={PIECE}-")


@pytest.mark.parametrize("expected", [Expected(size=len(DATA)), Expected()])
def test_without_a_digest_parts_are_never_put_together(get, refused, server, path, expected):
    server.turns["a.bin"] = [("cut", PIECE)] * 2
    get(expected)
    assert whole(path) and server.of("a.bin") == [None] * 3
    path.unlink()
    server.turns["a.bin"] = [("cut", PIECE)]
    assert "kept" not in str(refused("broke", expected, attempts=1))
    get(expected)
    assert whole(path) and set(server.of("a.bin")) == {None}


def test_a_server_that_sends_everything_again_is_understood(get, server, path):
    server.turns["a.bin"] = [("cut", PIECE), ("whole",)]
    get()
    assert whole(path) and server.of("a.bin") == [None, f"bytes={PIECE}-"]


def test_a_server_that_does_not_tell_the_length_is_understood(get, server, path):
    server.lengths = False
    get()
    assert whole(path)
    path.unlink()
    server.turns["a.bin"] = [("cut", 5), ("cut", PIECE)]
    get()  # the size that was given tells that it broke
    assert whole(path) and server.of("a.bin") == [None, None, "bytes=5-", f"bytes={PIECE + 5}-"]


def test_a_server_that_does_not_tell_the_size_in_a_part_is_understood(get, server, path):
    for lengths in (True, False):
        server.lengths = lengths
        server.turns["a.bin"] = [("cut", PIECE), ("total", "*")]
        get()
        assert whole(path)
        path.unlink()


def test_the_first_part_of_another_file_is_thrown_away(get, server, path):
    part_of(path).write_bytes(b"x" * 1000)
    get()
    assert whole(path) and server.of("a.bin") == ["bytes=1000-", None]


@pytest.mark.parametrize("more", [0, 1, 5])
def test_a_part_as_long_as_the_file_or_longer_is_checked_and_replaced(get, server, path, more):
    part_of(path).write_bytes(b"x" * (len(DATA) + more))
    get()
    assert whole(path) and server.of("a.bin") == [None]  # there is nothing to go on with


def test_a_part_that_is_all_of_the_file_is_taken(get, server, path):
    part_of(path).write_bytes(DATA)
    get()
    assert whole(path) and not server.requests


def test_a_part_of_another_version_is_not_resumed(get, server, path):
    other = Expected(sha256="0" * 64)
    part_of(path, other).write_bytes(DATA[:1000])
    get()
    assert server.of("a.bin") == [None] and path.read_bytes() == DATA
    assert part_of(path, other).stat().st_size == 1000


def test_a_part_that_the_server_cannot_complete_is_replaced(get, server, path, pauses):
    part_of(path, ONLY_SHA1).write_bytes(b"x" * 400_000)
    get(ONLY_SHA1)  # the server answers 416
    assert whole(path) and server.of("a.bin") == ["bytes=400000-", None] and pauses == []


def test_another_part_than_asked_for_is_not_taken(get, refused, server, path):
    part_of(path).write_bytes(DATA[:1000])
    server.turns["a.bin"] = [("shifted",)] * 5
    refused(r"the server sent a part that was not requested \(5 attempts\)")
    server.turns["a.bin"] = [("shifted",)]
    get()
    assert whole(path) and server.of("a.bin") == ["bytes=1000-"] * 7


def test_a_wrong_digest_or_size_is_refused_and_nothing_is_left(refused, path):
    error = refused("sha1", EXPECTED._replace(sha1="0" * 40))
    assert "by hand" in str(error) and str(path) in str(error)
    refused("sha256 .* instead of 0000", EXPECTED._replace(sha256="0" * 64))
    refused("300000 bytes instead of 5", EXPECTED._replace(size=5))
    assert [p.name for p in path.parent.iterdir()] == [".a.bin.lock"]


def test_a_wrong_file_is_asked_for_once_more_where_the_first_part_may_be_to_blame(
    refused, server, path
):
    part_of(path).write_bytes(b"x" * 1000)
    server.files["a.bin"] = DATA[::-1]
    refused("sha1 .* instead of")
    assert server.of("a.bin") == ["bytes=1000-", None] and not part_of(path).exists()


@pytest.mark.parametrize("lengths", [True, False])
def test_a_longer_file_than_expected_is_not_read_to_its_end(refused, server, path, lengths):
    server.lengths = lengths
    message = "more than 5 bytes" if not lengths else "300000 bytes instead of 5"
    error = refused(f"a.bin: {message}", EXPECTED._replace(size=5))
    assert type(error) is Failure and len(server.requests) == 1
    assert not any(p.stat().st_size for p in path.parent.iterdir())


@pytest.mark.parametrize("code", [404, 403, 401, 410])
def test_a_final_refusal_is_reported_at_once(refused, server, pauses, code):
    server.turns["a.bin"] = [code]
    error = refused(f"a.bin: the server answered {code}")
    assert len(server.requests) == 1 and pauses == []
    assert type(error) is (NotThere if code in (404, 410) else Failure)


def test_a_part_that_will_not_be_completed_is_not_called_kept(refused, server, path):
    part_of(path).write_bytes(DATA[:1000])
    server.turns["a.bin"] = [404]
    assert "kept" not in str(refused("404"))


@pytest.mark.parametrize("code", [500, 502, 503, 429])
def test_a_transient_error_is_retried(get, refused, server, path, code, pauses):
    server.turns["a.bin"] = [code, code]
    get()
    assert whole(path) and pauses == [1, 2]
    path.unlink()
    server.turns["a.bin"] = [code] * 3
    assert isinstance(refused(rf"answered {code}.*\(3 attempts\)", attempts=3), Unreachable)


def test_pauses_do_not_become_longer_than_a_minute(refused, server, pauses):
    server.turns["a.bin"] = [503] * 9
    refused("9 attempts", attempts=9)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("before", [0, 700])
def test_a_server_that_stalls_is_asked_again_and_then_given_up(get, refused, server, path, before):
    server.turns["a.bin"] = [("stall", before)] * 3
    refused(r"a.bin: the connection broke .*timed out.* \(2 attempts\)", patience=0.2, attempts=2)
    get(patience=0.2, attempts=2)
    assert whole(path) and len(server.requests) == 4


def test_a_server_that_does_not_answer_is_given_up(refused, server):
    hold = threading.Event()
    server.before = lambda name: hold.wait(30)
    refused(r"no answer .*timed out.* \(1 attempt\)", patience=0.2, attempts=1)
    hold.set()


def test_no_server_is_said_with_its_address(refused, pauses):
    with FileServer() as gone:
        url = f"{gone.url}/a.bin"
    message = rf"{url}: no answer \(Connection refused\) \(2 attempts\)"
    assert isinstance(refused(message, source=url, attempts=2), Unreachable)
    assert pauses == [1]


@pytest.mark.parametrize("url", ["no address", "ftp://x/a.bin", "http://[x/a.bin"])
def test_what_is_no_address_is_refused(refused, url):
    assert type(refused("not a usable address", source=url)) is Failure


def test_passwords_are_not_shown(refused, server):
    secret = server.url.replace("http://", "http://me:secret@")
    for url in (f"{secret}/b.bin", "http://me:secret@[x/b.bin", "ftp://me:secret@x/b.bin"):
        error = str(refused("b.bin", source=url))
        assert "secret" not in error and "//***@" in error
    assert "***@127.0.0.1" in str(refused("b.bin", source=f"{secret}/b.bin"))


def test_the_remedy_of_the_caller_is_shown(refused, server):
    server.turns["a.bin"] = [404]
    assert str(refused("404", remedy="ask your administrator")).endswith("; ask your administrator")


@pytest.mark.parametrize("expected", [EXPECTED, ONLY_SHA1])
def test_a_disk_without_room_is_found_before_the_download(
    refused, server, path, monkeypatch, expected
):
    usage = shutil.disk_usage(path.parent.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    error = refused(r"a\.bin needs 0\.3 MB, 0\.0 MB are free", expected)
    assert not isinstance(error, Failure)
    assert len(server.requests) == 1  # whose answer tells the size
    assert not any(p.stat().st_size for p in path.parent.iterdir())


def test_space_is_needed_only_for_the_rest(get, refused, server, path, monkeypatch):
    usage, enough = shutil.disk_usage(path.parent.parent), 100_000 + (1 << 20)
    part_of(path).write_bytes(DATA[:200_000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=enough - 1))
    refused(r"a\.bin needs 0\.1 MB, 1\.1 MB are free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=enough))
    get()
    assert whole(path)
    with pytest.raises(UserError, match=r"x needs 20\.50 GB, 1\.1 MB are free"):
        files.check_space(path.parent, 20_500_000_000, "x")


def test_a_disk_that_fills_up_keeps_what_was_downloaded(get, refused, server, path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:  # a limit on the size of files does to a writer what a full disk does
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limits[1]))
        error = refused(r"a\.bin: cannot be written.*free some space")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not isinstance(error, Failure)
    assert part_of(path).read_bytes() == DATA[:150_000]
    get()
    assert whole(path) and server.of("a.bin") == [None, "bytes=150000-"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_distinguished_from_a_broken_one(refused, server, monkeypatch, number):
    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "move_into_place", full)
    told = str(refused(os.strerror(number)))
    assert ("free some space" in told) == (number != errno.EIO)


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/new: cannot be written.*choose another folder"):
        fetch(f"{server.url}/a.bin", tmp_path / "file" / "new" / "a.bin", EXPECTED)
    with pytest.raises(UserError, match="file: cannot be written"):
        fetch(f"{server.url}/a.bin", tmp_path / "a.bin", EXPECTED, work=tmp_path / "file")
    assert not server.requests


def test_what_is_not_whole_may_be_kept_in_another_folder(get, refused, server, path):
    work = path.parent.parent / "work"
    server.turns["a.bin"] = [("cut", PIECE)]
    refused("broke", attempts=1, work=work)
    names = {".a.bin.lock", download.part_name("a.bin", EXPECTED)}
    assert {p.name for p in work.iterdir()} == names and not list(path.parent.iterdir())
    get(work=work)
    assert list(path.parent.iterdir()) == [path] and path.read_bytes() == DATA
    assert server.requests[-1] == ("a.bin", f"bytes={PIECE}-")


def process(server, path, **more):
    """Another process that fetches the file."""
    code = f"""
from gan_kd_ssd.util.download import Expected, fetch
fetch({server.url + "/a.bin"!r}, {str(path)!r}, {EXPECTED!r})
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **more)


def test_two_processes_download_a_file_once(server, path):
    path.parent.mkdir()
    with files.locked(path.with_name(".a.bin.lock")):
        both = [process(server, path, stderr=subprocess.PIPE) for _ in range(2)]
        for one in both:
            assert b"waiting for another process" in one.stderr.readline()
        assert not server.requests
    for one in both:
        one.communicate(timeout=60)
    assert [one.returncode for one in both] == [0, 0]
    assert whole(path) and len(server.requests) == 1


def test_a_process_that_is_killed_leaves_a_part_and_no_lock(get, server, path):
    server.turns["a.bin"] = [("stall", 3 * PIECE)]
    running = process(server, path)
    while not (part_of(path).exists() and part_of(path).stat().st_size == 3 * PIECE):
        assert running.poll() is None
        time.sleep(0.01)
    running.kill()
    running.wait()
    assert not path.exists()
    get()
    assert whole(path) and server.of("a.bin") == [None, f"bytes={3 * PIECE}-"]


def test_progress_says_what_is_downloaded_and_checked(get, server, path, capsys):
    get(quiet=False)
    told = capsys.readouterr().err
    assert "a.bin: 100%" in told and "checking a.bin: 100%" in told and "300k/300k" in told


def test_progress_of_a_resumed_download_begins_where_it_stopped(get, server, path, monkeypatch):
    begun = []
    bar = files.bar
    monkeypatch.setattr(files, "bar", lambda *given, **more: begun.append(given) or bar(*given))
    server.turns["a.bin"] = [("cut", PIECE)]
    get()
    assert begun[:2] == [(300_000, "a.bin", 0, True), (300_000, "a.bin", PIECE, True)]
    assert bar(300_000, "a.bin", PIECE, True).n == PIECE


def test_a_file_is_on_the_disk_before_it_has_its_name(get, path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.fstat(file).st_ino) or fsync(file))
    monkeypatch.setattr(os, "replace", lambda a, b: done.append("renamed") or replace(a, b))
    get()
    assert done == [path.stat().st_ino, "renamed", path.parent.stat().st_ino]


def test_a_file_is_read_once_for_all_its_digests(path, monkeypatch):
    path.parent.mkdir()
    path.write_bytes(DATA)
    opened = []
    monkeypatch.setattr("builtins.open", lambda *given, o=open: opened.append(given) or o(*given))
    assert files.damage(path, EXPECTED) == "" and len(opened) == 1
    assert files.damage(path, EXPECTED._replace(size=1)) == "300000 bytes instead of 1"
    assert len(opened) == 1  # its size is enough


def test_a_file_that_cannot_be_read_is_damaged(tmp_path):
    assert files.damage(tmp_path, ONLY_SHA1) == "cannot be read (Is a directory)"
    assert files.damage(tmp_path / "no", EXPECTED) == "cannot be read (No such file or directory)"


class TestAFolderOfThisMachine:
    @pytest.fixture
    def source(self, tmp_path):
        source = tmp_path / "source.bin"
        source.write_bytes(DATA)
        return source

    def test_gives_its_files_as_a_server_does(self, get, path, source):
        part_of(path).write_bytes(b"x" * 1000)
        get(source=source)
        assert whole(path) and source.read_bytes() == DATA
        path.unlink()
        part_of(path).write_bytes(DATA[:1000])
        get(source=source)
        assert whole(path)
        part_of(path, ONLY_SHA1).write_bytes(b"x" * 400_000)
        path.unlink()
        get(ONLY_SHA1, source=source)
        assert whole(path)

    def test_has_another_file(self, refused, source):
        refused("sha1", EXPECTED._replace(sha1="0" * 40), source=source)
        refused("300000 bytes instead of 5", Expected(size=5), source=source)

    def test_has_no_such_file(self, refused, source, pauses):
        source.unlink()
        error = refused(rf"{source}: cannot be read \(No such file.*by hand", source=source)
        assert type(error) is NotThere and pauses == []

    def test_breaks_while_it_is_read(self, refused):
        source = Path("/proc/self/mem")  # opens, and cannot be read at its beginning
        error = refused("/proc/self/mem: cannot be read", Expected(), source=source)
        assert type(error) is Failure


class TestASmallFile:
    @pytest.fixture
    def small(self, server, pauses):
        def small(most=300_000, name="a.bin", **more):
            patience = Patience(sleep=pauses.append, **more)
            return read(f"{server.url}/{name}", most, patience)

        return small

    def test_is_read(self, small, tmp_path):
        assert small() == DATA
        (tmp_path / "x").write_bytes(b"here")
        assert read(tmp_path / "x", 4) == b"here"

    def test_is_asked_for_again(self, small, server, pauses):
        server.turns["a.bin"] = [500, ("cut", PIECE), ("stall", PIECE)]
        assert small(read=0.2) == DATA
        assert server.of("a.bin") == [None] * 4 and pauses == [1, 2, 4]

    def test_is_not_there(self, small, server, pauses):
        with pytest.raises(NotThere, match=f"{server.url}/b.bin: the server answered 404"):
            small(name="b.bin")
        assert pauses == []

    def test_is_not_read_to_its_end_where_it_is_large(self, small, tmp_path):
        with pytest.raises(Failure, match=r"a\.bin: larger than 299999 bytes"):
            small(most=299_999)
        (tmp_path / "x").write_bytes(b"here")
        with pytest.raises(Failure, match="x: larger than 3 bytes"):
            read(tmp_path / "x", 3)

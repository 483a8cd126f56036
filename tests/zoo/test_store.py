"""Weights come from a real web server on loopback: whole, once, and from where it stopped."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gan_kd_ssd.util.download import PIECE, Patience, part_name
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import Expected
from gan_kd_ssd.zoo.store import Store
from helpers import model_zoo_index as zoo
from helpers.file_server import FileServer

ROOT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 400
NAME = zoo.NAME
ENTRY = zoo.entry(CONTENT)
FILE = ENTRY["file"]
BESIDE = FILE.replace(".params", ".json")


@pytest.fixture
def server():
    with FileServer({"index.json": zoo.index(ENTRY), FILE: CONTENT}) as server:
        yield server


@pytest.fixture
def pauses():
    """The pauses between attempts, which are not waited for."""
    return []


@pytest.fixture
def store(server, pauses, tmp_path, monkeypatch):
    """A store that is filled from the server, with little patience."""
    monkeypatch.setenv("GAN_KD_SSD_REPO", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Store(tmp_path / "root", patience=patience(pauses))


def patience(pauses):
    return Patience(connect=5, read=10, pause=0.5, sleep=pauses.append)


def part_of(store):
    """The file that a download is written to until it is whole."""
    folder = store.root / ".gan_kd_ssd"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / part_name(FILE, Expected(sha256=ENTRY["sha256"]))


def whole(store):
    """Nothing but the whole weights, what is said of them, and an empty lock."""
    assert (store.root / FILE).read_bytes() == CONTENT
    left = sorted(path.name for path in (store.root / ".gan_kd_ssd").iterdir())
    assert [name for name in left if not name.endswith(".lock")] == []
    return sorted(p.name for p in store.root.iterdir() if p.is_file()) == sorted([FILE, BESIDE])


def test_weights_are_fetched_checked_and_then_taken_from_here(store, server, capsys):
    path, release = store.fetch(NAME)
    assert path == store.root / FILE and release.classes == zoo.CLASSES
    assert whole(store) and server.requests == [("index.json", None), (FILE, None)]
    assert FILE in capsys.readouterr().err  # the progress bar
    store.fetch(NAME, ENTRY["sha1"][:8])
    assert len(server.requests) == 2  # a version that is here needs no network
    store.fetch(NAME)
    assert server.of(FILE) == [None]


def test_classes_are_found_beside_fetched_weights(store):
    from gan_kd_ssd.logs.run_metadata import classes_beside

    assert classes_beside(store.fetch(NAME).path) == zoo.CLASSES


def test_a_later_process_goes_on_with_what_came(store, server, pauses):
    server.turns[FILE] = [("cut", PIECE)] + [503] * 4
    with pytest.raises(UserError, match=r"answered 503.*5 attempts.*by hand into"):
        store.fetch(NAME)
    assert part_of(store).read_bytes() == CONTENT[:PIECE] and not (store.root / FILE).exists()
    store.fetch(NAME)
    assert whole(store) and server.of(FILE)[-1] == f"bytes={PIECE}-"


def test_an_error_of_the_server_passes(store, server, pauses):
    server.turns = {"index.json": [500], FILE: [503, 429]}
    store.fetch(NAME)
    assert whole(store) and pauses == [0.5, 0.5, 1.0]


def test_an_index_that_is_only_looked_at_is_not_waited_for(store, server, pauses, capsys):
    assert [r.file for r in store.published()[NAME]] == [FILE]
    server.turns["index.json"] = [503]
    assert store.published() == {} and pauses == []
    assert "the repository is not available" in capsys.readouterr().err


def test_what_stands_beside_weights_comes_back(store, server):
    store.fetch(NAME)
    (store.root / BESIDE).unlink()
    store.fetch(NAME)
    assert whole(store) and server.of(FILE) == [None]


def test_a_wrong_hash_leaves_nothing(store, server):
    server.files[FILE] = CONTENT[:-1] + b"?"
    with pytest.raises(UserError, match=rf"{FILE}: sha1 \w+ instead of {ENTRY['sha1']}"):
        store.fetch(NAME)
    assert not (store.root / FILE).exists() and not part_of(store).exists()
    assert not (store.root / BESIDE).exists()


def test_sha256_is_checked_as_well(store, server):
    server.files["index.json"] = zoo.index({**ENTRY, "sha256": "0" * 64})
    with pytest.raises(UserError, match=r"sha256 .* instead of 0000"):
        store.fetch(NAME)
    assert not (store.root / FILE).exists()


def test_a_file_that_is_not_there_is_named_with_the_way_to_fetch_it_by_hand(store, server, pauses):
    del server.files[FILE]
    with pytest.raises(UserError, match="404") as error:
        store.fetch(NAME)
    for text in (f"{server.url}/{FILE}", f"{server.url}/{BESIDE}", str(store.root), "by hand"):
        assert text in str(error.value)
    assert pauses == []  # asking again does not help


def test_no_network_is_named_with_the_way_to_fetch_it_by_hand(store, pauses, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("GAN_KD_SSD_REPO", url)
    store = Store(store.root, patience=patience(pauses))
    with pytest.raises(UserError, match=r"Connection refused.*5 attempts.*by hand") as error:
        store.fetch(NAME)
    assert f"{url}/index.json" in str(error.value) and str(store.root) in str(error.value)
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_weights_that_are_here_are_taken_without_a_network(store, server, pauses, capsys):
    store.fetch(NAME)
    server.files.clear()
    server.turns["index.json"] = [503] * 9
    assert store.fetch(NAME).path == store.root / FILE
    assert pauses == [] and f"using {FILE} from" in capsys.readouterr().err
    store.source = None
    assert store.fetch(NAME).path == store.root / FILE


def test_weights_brought_by_hand_are_taken_without_a_repository(store, server, monkeypatch):
    store.root.mkdir()
    (store.root / FILE).write_bytes(CONTENT)
    (store.root / BESIDE).write_bytes(zoo.json.dumps(ENTRY).encode())
    monkeypatch.delenv("GAN_KD_SSD_REPO")
    assert Store(store.root).fetch(NAME).release.classes == zoo.CLASSES
    assert server.requests == []


def test_damaged_weights_are_fetched_again_or_named(store, server, capsys):
    store.fetch(NAME)
    (store.root / FILE).write_bytes(CONTENT[:-1] + b"?")
    store.fetch(NAME, ENTRY["sha1"][:8])
    assert whole(store) and "downloading it again" in capsys.readouterr().err
    (store.root / FILE).write_bytes(CONTENT[:-1])
    store.source = None
    with pytest.raises(UserError, match=f"{len(CONTENT) - 1} bytes instead of {len(CONTENT)}"):
        store.fetch(NAME)


def test_the_newest_version_is_taken_unless_one_is_asked_for(store, server):
    newer = zoo.entry(b"newer", published="2026-02-01T00:00:00+00:00")
    server.files["index.json"] = zoo.index(ENTRY, newer)
    server.files[newer["file"]] = b"newer"
    assert store.fetch(NAME).path.read_bytes() == b"newer"
    assert store.fetch(NAME, ENTRY["sha1"][:8]).path.read_bytes() == CONTENT
    store.source = None
    assert store.fetch(NAME).path.read_bytes() == b"newer"
    store.source = Store().source
    with pytest.raises(UserError, match=f"no version 00000000.*{newer['sha1'][:8]}"):
        store.fetch(NAME, "00000000")


def test_an_unpublished_name_says_what_trains_it_and_what_is_close(store):
    with pytest.raises(UserError, match=r"`gan-kd train-ssd .*--student resnet10_v1_0.25 "):
        store.fetch("ssd_128_resnet10_v1_0.25_shapes")
    with pytest.raises(UserError, match=f"similar names: {NAME}"):
        store.fetch(f"{NAME}_cos")
    with pytest.raises(UserError, match="no network is called"):
        store.fetch("ssd_512_resnet50_v1_voc")  # GluonCV's: not of this store


_FETCH = ["-m", "gan_kd_ssd", "zoo", "fetch", NAME, "--root"]


def test_two_processes_at_once_download_once(store, server):
    second = threading.Event()

    def hold(path):
        """The first download waits until the other process is there, and a while for its GET."""
        if path == "index.json" and len(server.of("index.json")) == 2:
            second.set()
        if path == FILE:
            second.wait(60)
            if len(server.of(FILE)) == 1:
                both.wait(0.5)
            else:
                both.set()

    both = threading.Event()
    server.before = hold
    command = [sys.executable, *_FETCH, str(store.root)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=env) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].decode().strip() for process in running]
    assert said == [str(store.root / FILE)] * 2
    assert whole(store) and len(server.of(FILE)) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"file": "../../evil.params"}, "file '../../evil.params'"),
        ({"file": "/etc/passwd"}, "file '/etc/passwd'"),
        ({"file": "..\\evil.params"}, "file"),
        ({"file": FILE + "\0"}, "file"),
        ({"file": FILE.replace("-", "_")}, "file"),
        ({"name": f"../{NAME}"}, "name "),
        ({"name": "resnet50_v1"}, "name "),
        ({"name": "ssd_512_resnet50_v1_voc"}, "name "),
        ({"sha1": "../" + ENTRY["sha1"][3:]}, "sha1"),
        ({"sha1": ENTRY["sha1"].upper()}, "sha1"),
        ({"sha256": "0"}, "sha256"),
        ({"size": -1}, "size"),
        ({"size": "12"}, "size"),
        ({"size": True}, "size"),
        ({"classes": []}, "classes"),
        ({"classes": ["a\nb"]}, "classes"),
        ({"classes": "ab"}, "classes"),
        ({"mAP": float("nan")}, "mAP"),
        ({"mAP": None}, "mAP"),
        ({"data_shape": [128, 128]}, "data_shape"),
        ({"data_shape": 0}, "data_shape"),
        ({"published": None}, "published"),
        ({"norm_layer": "x"}, "norm_layer"),
    ],
)
def test_an_index_that_is_not_right_is_not_used(store, server, change, reason):
    server.files["index.json"] = zoo.json.dumps(
        {"format": 1, "models": {change.get("name", NAME): [{**ENTRY, **change}]}}
    ).encode()
    with pytest.raises(UserError, match="the index is damaged") as error:
        store.fetch(NAME)
    assert reason in str(error.value) and "\n" not in str(error.value)
    assert not store.root.exists() and server.requests == [("index.json", None)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b'{"models": []}',
        b'{"format": 2, "models": {}}',
        b'{"format": 1, "models": {"x": 1}}',
        b'{"format": 1, "models": {"x": [1]}}',
        b"[" * 100_000,
    ],
)
def test_an_index_that_is_none_is_one_line(store, server, content):
    server.files["index.json"] = content
    with pytest.raises(UserError, match=r"/index.json: the index is damaged") as error:
        store.fetch(NAME)
    assert len(str(error.value)) < 500


def test_an_entry_of_another_name_is_not_used(store, server):
    other = "ssd_128_resnet10_v1_0.25_shapes"
    content = zoo.json.dumps({"format": 1, "models": {NAME: [zoo.entry(b"x", other)]}})
    server.files["index.json"] = content.encode()
    with pytest.raises(UserError, match="under another name"):
        store.fetch(NAME)


def test_a_place_without_an_index_is_no_repository(store, server, monkeypatch, tmp_path):
    del server.files["index.json"]
    with pytest.raises(UserError, match=r"404.*no repository; check \$GAN_KD_SSD_REPO"):
        store.fetch(NAME)
    monkeypatch.setenv("GAN_KD_SSD_REPO", f"file:{tmp_path}/nowhere")
    with pytest.raises(UserError, match=r"no repository; check \$GAN_KD_SSD_REPO"):
        Store(store.root).fetch(NAME)


@pytest.mark.parametrize(
    "address",
    ["ftp://host/x", "host/x", "/a/folder", "http://", "file:", "http://h/x?y", "http://["],
)
def test_an_address_that_is_none_is_named(address, monkeypatch):
    monkeypatch.setenv("GAN_KD_SSD_REPO", address)
    with pytest.raises(UserError, match=r"\$GAN_KD_SSD_REPO .*give a folder, https://"):
        Store()


def test_a_password_in_the_address_is_not_shown(store, server, monkeypatch):
    monkeypatch.setenv("GAN_KD_SSD_REPO", server.url.replace("//", "//me:secret@"))
    server.files.clear()
    with pytest.raises(UserError) as error:
        Store(store.root).fetch(NAME)
    assert "secret" not in str(error.value) and "***@127.0.0.1" in str(error.value)


@pytest.mark.parametrize(
    "form", ["{}", "file:{}", "file://{}", "file://localhost{}", "file:~/a folder"]
)
def test_a_folder_is_a_repository(form, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "index.json").write_bytes(zoo.index(ENTRY))
    (folder / FILE).write_bytes(CONTENT)
    path = str(folder).replace(" ", "%20") if "//" in form else str(folder)
    monkeypatch.setenv("GAN_KD_SSD_REPO", form.format(path))
    store = Store(tmp_path / "root", quiet=True)
    store.fetch(NAME)
    assert whole(store)
    for damaged, message in (
        (CONTENT[:-1], "not the expected file"),
        (b"?" * len(CONTENT), "sha1"),
    ):
        (folder / FILE).write_bytes(damaged)
        store.root = tmp_path / f"other{len(damaged)}"
        with pytest.raises(UserError, match=message):
            store.fetch(NAME)
    (folder / FILE).unlink()
    with pytest.raises(UserError, match=r"cannot be read.*by hand"):
        store.fetch(NAME)


def test_a_root_that_cannot_be_made_is_named(store):
    store.root.write_text("")
    with pytest.raises(UserError, match=r"root/\.gan_kd_ssd: cannot be written"):
        store.fetch(NAME)


def test_the_root_is_gluoncvs_own(monkeypatch, tmp_path):
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    assert Store().root == tmp_path / "models"
    monkeypatch.delenv("MXNET_HOME")
    assert Store().root == Path.home() / ".mxnet" / "models"

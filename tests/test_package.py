"""The wheel: what it contains, and that it works in another folder without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the tracked files, without network."""
    pytest.importorskip("build", reason="needs the package build (requirements-dev.txt)")
    source = tmp_path_factory.mktemp("source")
    for file in ROOT.rglob("*"):
        part = file.relative_to(ROOT)
        wanted = part.parts[0] in (
            "gan_kd_ssd",
            "pyproject.toml",
            "README.md",
            "LICENSE",
            "logs",
            "tests",
        )
        if wanted and file.is_file() and "__pycache__" not in part.parts:
            (source / part).parent.mkdir(parents=True, exist_ok=True)
            (source / part).write_bytes(file.read_bytes())
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        source / "dist",
    ]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """run(*words) -> completed process of ``gan-kd`` that sees only the wheel's files."""
    place = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    (place / "elsewhere").mkdir()

    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(place / "site"), "MXNET_HOME": str(place)}
        return subprocess.run(
            [
                sys.executable,
                "-P" if sys.version_info >= (3, 11) else "-s",
                "-m",
                "gan_kd_ssd",
                *words,
            ],
            cwd=place / "elsewhere",
            env=environment,
            capture_output=True,
            text=True,
        )

    return run


def test_the_wheel_contains_the_package_and_all_its_data_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "gan-kd = gan_kd_ssd.cli.main:main" in archive.read(entry).decode()
    assert {name.split("/")[0] for name in names} == {"gan_kd_ssd"}
    files = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "gan_kd_ssd").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert names == files


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["logs", "show", "ssd"],
        ["logs", "compare", "ssd", "--reference", "ssd"],
        ["logs", "plot", "faster_rcnn", "--out", "x.png"],
        ["logs", "tables"],
        ["experiments", "list"],
        ["experiments", "show", "mobilenet1.0-resnet50-cos"],
        ["zoo", "list"],
        ["zoo", "show", "ssd_512_mobilenet1.0_voc_gkd_resnet50_v1_cos"],
        ["train-ssd", "--help"],
        ["train-faster-rcnn", "--help"],
        ["eval", "--help"],
    ],
    ids=" ".join,
)
def test_commands_need_only_the_wheel(installed, words):
    done = installed(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout

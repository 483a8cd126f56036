"""The libraries of the CUDA build, loaded before MXNet."""

import subprocess
import sys
from pathlib import Path

import pytest

from gan_kd_ssd.util import cuda
from gan_kd_ssd.util.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def loads(monkeypatch):
    """loads(*refused) -> list that fills with what is loaded; names that are refused fail."""

    def watch(*refused):
        loaded = []

        def load(name):
            if any(part in name for part in refused):
                raise OSError(f"{Path(name).name}: cannot open shared object file")
            loaded.append(name)

        monkeypatch.setattr(cuda.ctypes, "CDLL", load)
        return loaded

    return watch


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path)])
    return tmp_path


def test_the_build_is_that_of_the_folder_python_imports_from(site, monkeypatch):
    assert cuda.installed_builds() == []
    (site / "mxnet_cu112-1.9.1.dist-info").mkdir()
    (site / "mxnet_model_server-1.0.dist-info").mkdir()
    assert cuda.installed_builds() == ["mxnet-cu112"]
    first = site / "first"
    (first / "mxnet-1.9.1.post0.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(first), *sys.path])
    assert cuda.installed_builds() == ["mxnet"]
    cuda.check_builds(cuda.installed_builds())
    (first / "mxnet_cu102-1.9.1.dist-info").mkdir()
    with pytest.raises(UserError, match="mxnet and mxnet-cu102 are both installed"):
        cuda.check_builds(cuda.installed_builds())


def test_libraries_come_from_the_packages_else_from_the_system_in_order(site, loads):
    file = site / "nvidia" / "cudnn" / "lib" / "libcudnn.so.8"
    file.parent.mkdir(parents=True)
    file.touch()
    loaded = loads()
    cuda.load_libraries()
    assert loaded[0] == "libcuda.so.1" and loaded[-1] == str(file)
    assert [Path(name).name for name in loaded[1:]] == [Path(f).name for f, _ in cuda.LIBRARIES]
    assert loaded.index("libcublasLt.so.11") < loaded.index("libcublas.so.11")
    assert "libcudart.so.11.0" in loaded  # by its name: wherever the system has it


def test_what_cannot_be_loaded_is_named_with_its_remedy(site, loads):
    loads("libcuda.so.1")
    with pytest.raises(UserError, match=r"driver is not installed .* install NVIDIA's driver"):
        cuda.load_libraries()
    loads("cublas", "libnccl")
    with pytest.raises(
        UserError,
        match=r"nvidia-cublas-cu11, nvidia-nccl-cu11 cannot .*pip install -r requirements-gpu",
    ):
        cuda.load_libraries()


@pytest.mark.parametrize("installed", [False, True])
def test_remedies_are_make_in_a_checkout_and_pip_where_the_package_is_installed(
    site, monkeypatch, installed
):
    if installed:
        monkeypatch.setattr(cuda, "CHECKOUT", site / "pyproject.toml")
    for problem, make, pip in (
        ("mxnet", "`make setup`", "`pip install --no-deps mxnet==1.9.1`"),
        ("mxnet-cu112", "`make setup-gpu`", "`pip install --no-deps mxnet-cu112==1.9.1`"),
        ("mxnet-cu112", "`make setup-gpu`", "nvidia-cudnn-cu11"),
        ("libraries", "-r requirements-gpu.txt", "`pip install nvidia-cuda-runtime-cu11 "),
        ("two builds", "rm -r .venv", "`pip uninstall mxnet mxnet-cu112`"),
        ("driver", "rm -r .venv", "--no-deps mxnet==1.9.1`"),
        ("gluoncv", "`make setup`", "`pip install gluoncv`"),
        ("", "`make setup`", "`pip install --no-deps mxnet==1.9.1`"),
    ):
        found = cuda.remedy(problem)
        assert (make in found, pip in found) == (not installed, installed), found


def test_the_default_remedy_is_that_of_the_installed_build(site):
    (site / "mxnet_cu112-1.9.1.dist-info").mkdir()
    assert cuda.remedy() == cuda.remedy("mxnet-cu112") != cuda.remedy("mxnet")


def test_the_pins_are_those_of_the_libraries_and_of_one_build_each():
    def names(file):
        lines = (ROOT / file).read_text().splitlines()
        return [line.split("==")[0] for line in lines if "==" in line and line[0] != "#"]

    gpu, cpu, common = (names(f"requirements{kind}.txt") for kind in ("-gpu", "", "-common"))
    assert gpu == [cuda.CUDA_BUILD, *dict.fromkeys(package for _, package in cuda.LIBRARIES)]
    assert cpu == [cuda.CPU_BUILD]
    assert not {*gpu, *cpu} & set(common)
    for file in ("requirements.txt", "requirements-gpu.txt", "requirements-dev.txt"):
        assert "-r requirements-common.txt" in (ROOT / file).read_text().splitlines()


def test_two_builds_are_refused_before_mxnet_is_imported(tmp_path):
    for name in ("mxnet", "mxnet_cu112"):
        (tmp_path / f"{name}-1.9.1.dist-info").mkdir()
    (tmp_path / "mxnet.py").write_text("raise SystemExit('imported')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from gan_kd_ssd.util.errors import exit_on_user_error\n"
        "def main():\n    import gan_kd_ssd.util.mxnet\n"
        "sys.exit(exit_on_user_error('program', main))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("program: mxnet and mxnet-cu112 are both installed")
    assert done.stderr.count("\n") == 1

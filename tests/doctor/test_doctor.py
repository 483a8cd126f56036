"""The doctor, on machines made of stub packages, a stub nvidia-smi and a stub driver."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gan_kd_ssd.doctor import FAIL, OK, WARN, examine, gpu, probe, software, storage
from gan_kd_ssd.util import cuda

ROOT = Path(__file__).resolve().parents[2]
CPU_MXNET = """
from types import SimpleNamespace as N
__version__ = "1.9.1"
MXNetError = type("MXNetError", (Exception,), {})
FEATURES = ["MKLDNN"]
runtime = N(feature_list=lambda: [N(name=f, enabled=True) for f in FEATURES])
context = N(num_gpus=lambda: 0)
"""
CUDA_MXNET = CPU_MXNET.replace('["MKLDNN"]', '["CUDA", "CUDNN"]')
#: The real MXNet, which is told that it has GPUs; they compute as the CPU does.
PRETENDED = """
import sys
sys.path.remove({site!r}); del sys.modules["mxnet"]
import mxnet
sys.path.insert(0, {site!r})
feature = type("F", (), {{"name": "CUDA", "enabled": True}})
mxnet.runtime.feature_list = lambda: [feature]
mxnet.context.num_gpus = lambda: {count}
mxnet.gpu = {gpu}
"""
A100 = "0, NVIDIA A100, 535.104.05, 40960, 40000, 8.0"


class Machine:
    """A machine to examine: packages, programs and libraries in folders of its own."""

    def __init__(self, folder):
        self.cwd = ROOT
        self.site, self.bin, self.lib, self.home = (
            folder / name for name in ("site", "bin", "lib", "home")
        )
        for path in (self.site, self.bin, self.lib):
            path.mkdir()
        (self.lib / cuda.DRIVER).write_text("not a library")  # hides a real driver
        for name in ("gluoncv", "cv2", "pycocotools"):
            self.package(name)
        self.package("pycocotools/mask")
        self.mxnet(CPU_MXNET)

    def package(self, name, source=""):
        path = self.site / name / "__init__.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

    def mxnet(self, source, builds=("mxnet",)):
        self.package("mxnet", source)
        for old in self.site.glob("mxnet*.dist-info"):
            shutil.rmtree(old)
        for name in builds:
            self.distribution(name, "1.9.1")

    def distribution(self, name, version):
        folder = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")

    def nvidia_smi(self, *lines, code=0, capability=True):
        known = 'case "$1" in *compute_cap*) echo Field "compute_cap" is not valid; exit 2;; esac\n'
        text = "\n".join(lines)
        program = self.bin / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{'' if capability else known}echo '{text}'\nexit {code}\n")
        program.chmod(0o755)

    def library(self, path, source="int cuInit(int flags) { return 100; }"):
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler for stub libraries")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", path]
        subprocess.run(command, input=source, text=True, check=True)

    def driver(self):
        self.library(self.lib / cuda.DRIVER)

    def cuda_libraries(self, *, without=()):
        self.library(self.site / "nvidia" / "any.so")
        for file, package in cuda.LIBRARIES:
            path = self.site / "nvidia" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.site / "nvidia" / "any.so", path)
            if package in without:  # hides a real one
                path.write_text("not a library")

    def run(self, *words):
        env = {
            **{"PATH": str(self.bin), "PYTHONPATH": str(self.site), "MXNET_HOME": str(self.home)},
            **{"LD_LIBRARY_PATH": str(self.lib), "HOME": str(self.home)},
        }
        command = [sys.executable, "-m", "gan_kd_ssd", "doctor", *words]
        done = subprocess.run(
            command, cwd=self.cwd, env=env, capture_output=True, text=True, timeout=120
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def examine(self):
        """Exit code, and the checks by name."""
        done = self.run("--json")
        assert not done.stderr
        answer = json.loads(done.stdout)
        assert done.returncode == (answer["status"] == "fail")
        return done.returncode, {row["name"]: row for row in answer["checks"]}


@pytest.fixture
def pc(tmp_path):
    return Machine(tmp_path)


def test_this_machine_has_what_the_tests_need():
    checks = {one.name: one for one in examine()}
    for name in ("Python", "MXNet", "numpy", "GluonCV", "OpenCV", "pycocotools", "memory"):
        assert checks[name].status in (OK, WARN), checks[name]
    assert "1.9.1" in checks["MXNet"].found


def test_a_sound_machine_without_gpu_passes_and_the_table_is_aligned(pc):
    done = pc.run()
    assert done.returncode == 0
    *rows, empty, last = done.stdout.splitlines()
    assert empty == "" and last.startswith("all required components are present; ")
    column = rows[0].index("3.")
    assert rows[0].startswith("ok    Python ") and len(rows) >= 16
    for row in rows:
        assert row[column - 2 : column] == "  " and row[column] != " "
        assert row[:4].strip() in ("ok", "warn", "")
        assert ("-> " in row) == (row[:4] == "    ")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise OSError('libgfortran.so.3: cannot open shared object file')", "libgfortran.so.3"),
        ("import numpy.no_such_part", "no_such_part"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
    ],
)
def test_an_mxnet_that_cannot_be_imported_is_a_row_and_not_a_traceback(pc, source, told):
    pc.mxnet(source)
    code, rows = pc.examine()
    assert code == 1 and rows["MXNet"]["status"] == "fail"
    assert told in rows["MXNet"]["remedy"]
    assert rows["GluonCV"]["status"] == "warn" and "not tested" in rows["GluonCV"]["found"]
    assert rows["numpy"]["status"] == rows["OpenCV"]["status"] == "ok"


def test_two_builds_of_mxnet_fail(pc):
    pc.mxnet(CPU_MXNET, builds=("mxnet", "mxnet-cu112"))
    code, rows = pc.examine()
    assert code == 1
    assert rows["MXNet"]["found"] == "mxnet and mxnet-cu112"
    assert "rm -r .venv" in rows["MXNet"]["remedy"]


def test_an_installed_package_works_from_any_folder_and_its_remedies_are_by_pip(pc):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "gan_kd_ssd", pc.site / "gan_kd_ssd", ignore=ignored)
    pc.cwd = pc.bin
    assert pc.run().returncode == 0
    pc.mxnet(CPU_MXNET, builds=("mxnet", "mxnet-cu112"))
    pc.package("cv2", "raise ImportError('broken')")
    pc.distribution("opencv-python", "4.8")
    code, rows = pc.examine()
    assert code == 1 and "`pip uninstall mxnet mxnet-cu112`" in rows["MXNet"]["remedy"]
    assert rows["OpenCV"]["remedy"] == "run `pip install opencv-python`"


def test_a_machine_without_mxnet_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cuda, "installed_builds", list)
    one = software.mxnet_check({"error": "No module named 'mxnet'"})
    assert (one.status, one.found, one.remedy) == (FAIL, "not installed", cuda.remedy())


def test_packages_that_are_broken_are_named(pc):
    pc.package("cv2", "raise ImportError('libGL.so.1: cannot open shared object file')")
    pc.package("pycocotools/mask", "raise ImportError('built for another numpy')")
    code, rows = pc.examine()
    assert code == 1
    assert rows["OpenCV"]["status"] == "fail" and "libgl1" in rows["OpenCV"]["remedy"]
    assert rows["pycocotools"]["status"] == "warn"  # the other data sets do without
    assert "another numpy" in rows["pycocotools"]["found"]


def test_a_cuda_build_without_a_driver_fails(pc):
    pc.mxnet(CUDA_MXNET, builds=("mxnet-cu112",))
    code, rows = pc.examine()
    assert code == 1 and rows["MXNet"]["status"] == rows["NVIDIA driver"]["status"] == "fail"
    for name in ("MXNet", "NVIDIA driver"):
        assert "install NVIDIA's driver" in rows[name]["remedy"]


def test_libraries_of_cuda_that_are_missing_are_named_with_their_packages(pc):
    pc.mxnet(CUDA_MXNET, builds=("mxnet-cu112",))
    pc.driver()
    pc.cuda_libraries(without=("nvidia-cudnn-cu11", "nvidia-nccl-cu11"))
    _, rows = pc.examine()
    assert rows["MXNet"]["status"] == "fail"
    assert "nvidia-nccl-cu11, nvidia-cudnn-cu11 cannot be loaded" in rows["MXNet"]["remedy"]
    assert "requirements-gpu.txt" in rows["MXNet"]["remedy"]
    assert "cublas" not in rows["MXNet"]["remedy"]


def test_a_cuda_build_with_a_driver_and_no_gpu_trains_on_the_cpu(pc):
    pc.mxnet(CUDA_MXNET, builds=("mxnet-cu112",))
    pc.driver()
    pc.cuda_libraries()
    code, rows = pc.examine()
    assert code == 0
    assert rows["MXNet"]["status"] == "ok" and "CUDA build: CUDA, CUDNN" in rows["MXNet"]["found"]
    assert rows["GPUs"]["status"] == "warn" and "answers 100: no GPU" in rows["GPUs"]["found"]


def with_gpus(pc, count=1, device="lambda i: mxnet.cpu(i)", smi=(A100,)):
    pc.mxnet(PRETENDED.format(site=str(pc.site), count=count, gpu=device), builds=("mxnet-cu112",))
    pc.driver()
    pc.cuda_libraries()
    pc.nvidia_smi(*smi)
    return pc.examine()


@pytest.fixture
def cpu_mxnet():
    if cuda.installed_builds() != [cuda.CPU_BUILD]:
        pytest.skip("pretends that the CPU build is a CUDA build")


def test_a_gpu_that_computes_passes(pc, cpu_mxnet):
    code, rows = with_gpus(pc)
    assert code == 0 and rows["NVIDIA driver"] == {
        **{"name": "NVIDIA driver", "status": "ok", "found": "535.104.05", "remedy": ""}
    }
    assert rows["GPU 0"]["status"] == "ok"
    assert "40000 of 40960 MiB free, compute capability 8.0, computes" in rows["GPU 0"]["found"]


def test_a_gpu_that_does_not_compute_fails_with_the_reason(pc, cpu_mxnet):
    code, rows = with_gpus(pc, device="lambda i: mxnet.Context('gpu', i)")
    assert code == 1 and rows["GPU 0"]["status"] == "fail"
    assert "does not compute: " in rows["GPU 0"]["found"]


def test_a_gpu_that_mxnet_has_no_code_for_fails_unless_there_is_another(pc, cpu_mxnet):
    hopper = "1, NVIDIA H100, 535.104.05, 80000, 79000, 9.0"
    code, rows = with_gpus(pc, smi=(hopper,))
    assert code == 1 and rows["GPU 1"]["status"] == "fail"
    assert "supports only capabilities 5.x to 8.x" in rows["GPU 1"]["remedy"]
    code, rows = with_gpus(pc, count=2, smi=(A100, hopper))
    assert code == 0 and rows["GPU 0"]["status"] == "ok" and rows["GPU 1"]["status"] == "warn"


def test_gpus_that_mxnet_does_not_see_fail(pc):
    pc.mxnet(CUDA_MXNET, builds=("mxnet-cu112",))
    pc.driver()
    pc.cuda_libraries()
    pc.nvidia_smi(A100)
    code, rows = pc.examine()
    assert code == 1 and rows["GPU 0"]["status"] == "fail"
    assert "the driver answers 100: no GPU" in rows["GPU 0"]["found"]


@pytest.mark.parametrize(
    ("version", "status", "cpu_status"),
    [
        ("418.226.00", "fail", "warn"),
        ("450.80.01", "fail", "warn"),
        ("450.80.02", "warn", "warn"),
        ("520.61.04", "warn", "warn"),
        ("520.61.05", "ok", "ok"),
    ],
)
def test_a_driver_too_old_for_cuda_11_is_named(pc, monkeypatch, version, status, cpu_status):
    pc.nvidia_smi(A100.replace("535.104.05", version))
    monkeypatch.setenv("PATH", str(pc.bin))
    monkeypatch.syspath_prepend(str(pc.site))  # has the CPU build
    assert gpu.checks({"features": []})[0].status == cpu_status
    driver = gpu.checks({"features": ["CUDA"], "gpus": [""]})[0]
    assert (driver.name, driver.status, driver.found) == ("NVIDIA driver", status, version)
    assert ("520.61.05" in driver.remedy) == (status != "ok")


def test_a_driver_that_does_not_answer_is_told_in_its_own_words(pc):
    pc.nvidia_smi("NVIDIA-SMI has failed because it could not communicate", code=9)
    _, rows = pc.examine()
    assert rows["NVIDIA driver"]["status"] == "warn"
    assert "could not communicate" in rows["NVIDIA driver"]["found"]


def test_the_cpu_build_on_a_machine_with_a_gpu_warns_and_passes(pc):
    pc.nvidia_smi(A100.replace(", 8.0", ""), capability=False)
    code, rows = pc.examine()
    assert code == 0 and rows["GPU 0"]["status"] == "warn"
    assert "capability unknown, but MXNet is the CPU build" in rows["GPU 0"]["found"]
    assert "make setup-gpu" in rows["GPU 0"]["remedy"]


def test_what_data_sets_lack_is_shown_with_the_command_that_fetches_it(pc):
    lists = pc.home / "datasets" / "voc" / "VOC2007" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "trainval.txt").write_text("a\nb\n")
    _, rows = pc.examine()
    voc, coco = rows["VOC 2007, 2012"], rows["COCO 2017"]
    assert voc["status"] == coco["status"] == "warn"
    assert "0 of 5,011 files of trainval in VOC2007/Annotations" in voc["found"]
    assert "no VOC2007/ImageSets/Main/test.txt" in voc["found"]
    assert "data prepare voc" in voc["remedy"] and "data prepare coco" in coco["remedy"]
    assert "no such folder" in coco["found"]


def test_a_complete_data_set_is_sound(tmp_path):
    (tmp_path / "datasets" / "voc").mkdir(parents=True)
    facts = {"voc": [], "coco": []}
    voc, coco = (storage.data_set(name, tmp_path, facts) for name in facts)
    assert (voc.status, voc.remedy) == (OK, "") and "complete" in voc.found
    assert coco.status == WARN
    broken = storage.data_set("voc", tmp_path, {"error": "ImportError: cv2"})
    assert broken.status == WARN and "ImportError: cv2" in broken.found


def test_weights_are_whole_where_their_sha1_is_that_of_their_name(pc):
    models = pc.home / "models"
    models.mkdir(parents=True)
    digest = hashlib.sha1(b"weights").hexdigest()[:8]
    (models / f"mobilenet1.0-{digest}.params").write_bytes(b"weights")
    (models / f"ssd_512_resnet50_v1_voc-{digest}.params").write_bytes(b"weig")
    _, rows = pc.examine()
    assert rows["backbone weights"]["status"] == "ok"
    assert rows["teacher weights"]["status"] == "warn"
    assert "damaged" in rows["teacher weights"]["found"]


def test_a_place_for_downloads_that_cannot_be_written_fails(pc):
    pc.home.write_text("a file in the way")
    pc.home = pc.home / "mxnet"
    code, rows = pc.examine()
    assert code == 1 and rows["downloads"]["status"] == "fail"
    assert "MXNET_HOME" in rows["downloads"]["remedy"]
    assert pc.home.parent.read_text() == "a file in the way"


def test_the_limit_of_a_container_counts_as_memory(tmp_path):
    limit = tmp_path / "memory.max"
    limits = (str(tmp_path / "none"), str(limit))
    limit.write_text("max\n")
    assert "container" not in storage.memory(limits).found
    limit.write_text("2000000000\n")
    memory = storage.memory(limits)
    assert memory.status == WARN and "2.0 GB allowed" in memory.found
    assert "--batch-size" in memory.remedy


def test_what_a_gpu_must_compute_is_right_on_the_cpu():
    from gan_kd_ssd.util.mxnet import mx

    probe.compute(mx.cpu())


def test_an_unknown_option_is_one_line(pc):
    done = pc.run("--jsn")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--jsn" in done.stderr


def test_a_reader_that_stops_reading_is_no_error(pc):
    process = subprocess.Popen(
        [sys.executable, "-m", "gan_kd_ssd", "doctor"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(pc.site)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(timeout=60) in (0, 1)
    process.stderr.close()


def test_the_doctor_itself_imports_nothing_that_may_be_broken():
    code = (
        "import sys\nfrom gan_kd_ssd.doctor import gpu, software, storage, probe\n"
        "heavy = {'mxnet', 'gluoncv', 'numpy', 'cv2', 'tqdm'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ})
    assert done.returncode == 0

#!/usr/bin/env python3
"""Record what the three scripts of a checkout do, and compare two such records.

``record`` runs the cases of an earlier record again (by default those of ``a182535.json.gz`` beside this
file) on tiny generated data. ``compare`` lists the differences of two records. README.md has examples.
This file imports nothing of the project: it runs the scripts as users do, and modules may move freely.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

BASELINE = Path(__file__).parent / "a182535.json.gz"
SCRIPTS = ("train_ssd_gkd.py", "train_faster_rcnn_gkd.py", "eval_voc.py")
TIMEOUT = 600  # seconds for one run
#: Runs that get SIGTERM once the text is in their log. A later run resumes each of them.
INTERRUPTED = {
    "ssd_gan_cut": "[Epoch 2][Batch 1]",
    "rcnn_gan_cut": "[Epoch 1][Batch 1]",
    "rcnn_fpn_gan_cut": "[Epoch 2][Batch 1]",
}
#: The environment of every run. Downloads fail at once because the proxy does not exist.
SETTINGS = {
    **{"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "100", "LC_ALL": "C.UTF-8"},
    **{"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
    **{"PYTHONDONTWRITEBYTECODE": "1"},
}
UNSET = ("PYTHONPATH", "PYTHONHASHSEED", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
#: Variables whose values the record has, because bits depend on them.
NOTED = re.compile(r"(OMP|MKL|DNNL|ONEDNN|OPENBLAS|MXNET|KMP|GOTO)_(?!HOME)\w+")

# Data

CLASSES = ("disc", "square", "stripes")
VOC_NAMES = dict(zip(CLASSES, ("cat", "bicycle", "train")))
COLOURS = ((220, 60, 50), (50, 90, 220), (240, 220, 60))


def draw(rng: np.random.Generator, size: tuple[int, int], objects: int) -> tuple[np.ndarray, list]:
    """Draw objects on noise; return the pixels and ``(class, left, top, right, bottom)`` of each object."""
    height, width = size
    coarse = rng.integers(60, 190, (6, 6, 3))
    rows, columns = np.arange(height) * 6 // height, np.arange(width) * 6 // width
    pixels = coarse[rows][:, columns] + rng.integers(-12, 13, (height, width, 3))
    boxes = []
    for _ in range(objects):
        kind = int(rng.integers(len(CLASSES)))
        side = int(rng.integers(min(size) // 4, min(size) // 2))
        left, top = (int(rng.integers(0, room - side)) for room in (width, height))
        y, x = np.mgrid[:side, :side]
        inside = np.ones((side, side), bool)
        if kind == 0:
            inside = (2 * x - side + 1) ** 2 + (2 * y - side + 1) ** 2 <= side**2
        elif kind == 2:
            inside = (x + y) // 4 % 2 == 0
        part = pixels[top : top + side, left : left + side]
        part[inside] = np.array(COLOURS[kind]) + rng.integers(-15, 16, 3)
        boxes.append((CLASSES[kind], left, top, left + side, top + side))
    return np.clip(pixels, 0, 255).astype(np.uint8), boxes


def voc_xml(name: str, size: tuple[int, int], boxes: Sequence, difficult: bool) -> str:
    """An annotation in VOC's format, which counts pixels from 1."""
    objects = "".join(
        f"<object><name>{kind}</name><difficult>{int(difficult and number == 1)}</difficult><bndbox>"
        f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
        "</bndbox></object>"
        for number, (kind, left, top, right, bottom) in enumerate(boxes)
    )
    extent = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}.png</filename>{extent}{objects}</annotation>\n"


def make_voc(folder: Path, counts: dict[str, int], seed: int, sizes=(), class_names=None) -> None:
    """Generate a data set in VOC layout: ``counts`` has the number of images of each split."""
    sizes = sizes or ((96, 96), (80, 104), (100, 84))
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for number, (split, count) in enumerate(counts.items()):
        names = [f"{split}_{index:03d}" for index in range(count)]
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for index, name in enumerate(names):
            rng, size = np.random.default_rng((seed, number, index)), sizes[index % len(sizes)]
            pixels, boxes = draw(rng, size, 1 + index % 3)
            boxes = [((class_names or {}).get(kind, kind), *box) for kind, *box in boxes]
            Image.fromarray(pixels).save(folder / "JPEGImages" / f"{name}.png")
            text = voc_xml(name, size, boxes, difficult=index % 4 == 3)
            (folder / "Annotations" / f"{name}.xml").write_text(text)


def make_coco(folder: Path, counts: dict[str, int], seed: int) -> None:
    """Generate a data set in COCO layout. The category ids are not in the order of the classes."""
    (folder / "annotations").mkdir(parents=True)
    ids = dict(zip(CLASSES, (7, 3, 90)))
    categories = [{"id": value, "name": name} for name, value in ids.items()]
    for number, (split, count) in enumerate(counts.items()):
        (folder / split).mkdir()
        images: list[dict] = []
        objects: list[dict] = []
        for index in range(count):
            rng = np.random.default_rng((seed, number, index))
            pixels, boxes = draw(rng, (96, 88), 1 + index % 3)
            name = f"{index:012d}.png"
            Image.fromarray(pixels).save(folder / split / name)
            url = f"http://images.cocodataset.org/{split}/{name}"
            entry = {"id": index, "file_name": name, "coco_url": url, "width": 88, "height": 96}
            images.append(entry)
            for kind, left, top, right, bottom in boxes:
                box = [left, top, right - left, bottom - top]
                entry = {"id": len(objects) + 1, "image_id": index, "category_id": ids[kind]}
                objects.append({**entry, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
        data = {"info": {}, "images": images, "annotations": objects, "categories": categories}
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(data))


def make_data(work: Path) -> None:
    """Generate the data sets of the runs, and those that are wrong in one way each."""
    data, voc = work / "data", work / "data" / "named" / "voc"
    make_voc(data / "tiny", {"train": 18, "val": 6, "test": 7}, seed=1)
    make_coco(data / "coco", {"train": 8, "val": 4}, seed=2)
    make_voc(voc / "VOC2007", {"trainval": 6, "test": 4}, seed=5, class_names=VOC_NAMES)
    make_voc(voc / "VOC2012", {"trainval": 5}, seed=6, class_names=VOC_NAMES)
    make_voc(data / "long", {"train": 4, "val": 2}, seed=3, sizes=((24, 400),))
    for name in ("xml", "gap", "picture"):
        make_voc(data / name, {"train": 4, "val": 2}, seed=4)
    (data / "xml" / "Annotations" / "train_001.xml").write_text("<annotation><object>")
    (data / "gap" / "JPEGImages" / "train_001.png").unlink()
    picture = data / "picture" / "JPEGImages" / "train_001.png"
    picture.write_bytes(picture.read_bytes()[:300])
    (data / "empty").mkdir()


def make_bad_files(work: Path) -> None:
    """Make the damaged files of the bad inputs from the files of the runs."""
    bad = work / "bad"
    bad.mkdir()
    whole = (work / "runs/ssd_plain/x_best.params").read_bytes()
    (bad / "damaged.params").write_bytes(np.random.default_rng(5).bytes(4000))
    (bad / "cut.params").write_bytes(whole[: len(whole) // 2])
    (bad / "empty.params").write_bytes(b"")
    (bad / "file").write_text("")
    # The end stays, so that this is still a zip file; its arrays are damaged.
    state = bytearray((work / "runs/ssd_plain/x_state.zip").read_bytes())
    state[len(state) // 4 : len(state) // 4 + 4000] = bytes(4000)
    (bad / "cut.zip").write_bytes(bytes(state))


# Calls of the scripts

#: Runs a script that gets SIGTERM once a text is printed, between two steps of the training.
INTERRUPT = """
import os, runpy, signal, sys
text, *sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
write = sys.stdout.write
def watched(line):
    write(line)
    if text in line:
        sys.stdout.write = write
        os.kill(os.getpid(), signal.SIGTERM)
sys.stdout.write = watched
runpy.run_path(sys.argv[0], run_name='__main__')
"""

#: Runs a script until it has parsed no words at all; prints its options and the Namespace.
OPTIONS = """
import argparse, json, os, runpy, sys
PROBES = json.loads(sys.argv[1])
script = sys.argv[2]
def made(action, text):
    try:
        return repr(action.type(text))
    except Exception as error:
        return type(error).__name__
def described(action):
    kind = action.type
    return {
        'dest': action.dest, 'spellings': action.option_strings, 'default': repr(action.default),
        'const': repr(action.const), 'nargs': action.nargs, 'metavar': action.metavar,
        'choices': action.choices and list(action.choices), 'required': action.required,
        'type': kind and kind.__name__, 'action': type(action).__name__,
        'takes': [made(action, text) for text in PROBES] if kind else None,
    }
plain = argparse.ArgumentParser.parse_known_args
def watched(self, args=None, namespace=None):
    parsed = plain(self, args, namespace)
    if len(self._actions) > 8:  # not the small parser that looks for --like
        values = {name: repr(value) for name, value in vars(parsed[0]).items()}
        options = [described(action) for action in self._actions if action.dest != 'help']
        print(json.dumps({'options': options, 'namespace': values}))
        sys.exit(0)
    return parsed
argparse.ArgumentParser.parse_known_args = watched
sys.argv, sys.path[0] = [script], os.path.dirname(script)
runpy.run_path(script, run_name='__main__')
"""
#: The record has the value that each option's type makes of these.
PROBES = ("", "0", "1", "007", "-1", "-2", "0.5", "1.5", "1e-3", "-.03", "nan", "inf", "a", "a,b")
#: Prints the versions of Python and of the packages that bits depend on.
VERSIONS = """
import json, platform
from importlib.metadata import version
names = 'mxnet', 'gluoncv', 'numpy', 'opencv-python', 'pycocotools', 'pillow', 'matplotlib'
print(json.dumps({'python': platform.python_version(), **{n: version(n) for n in names}}))
"""
_BAR = re.compile(r"\d+%\||\d(it|batch|image)/s|\?(it|batch|image)/s")


class Checkout:
    """The scripts of a checkout, called by an interpreter in a folder ``work`` with the generated data."""

    def __init__(self, root: Path, python: Path, work: Path):
        self.root, self.python, self.work = root.resolve(), python.absolute(), work
        home = work / "home"
        home.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if name not in UNSET}
        self.env = {**kept, **SETTINGS, "HOME": str(home), "MXNET_HOME": str(home / ".mxnet")}
        folders = {work: "<work>", self.root: "<root>", self.python.parent.parent: "<venv>"}
        self.masks = {
            str(form): name for path, name in folders.items() for form in (path, path.resolve())
        }
        make_data(work)

    def call(self, *words: str) -> tuple[int, list[str], list[str]]:
        """Run the interpreter; return the exit code and the masked lines of both outputs."""
        streams = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": TIMEOUT}
        done = subprocess.run([self.python, *words], cwd=self.work, env=self.env, **streams)
        out, told = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        lines = [s for s in re.split(r"[\r\n]+", told) if s.strip() and not _BAR.search(s)]
        return done.returncode, [*map(self.mask, out.splitlines())], [*map(self.mask, lines)]

    def script(self, name: str, *words: str, interrupt: str = "") -> tuple[int, list, list]:
        """Run a script, see :meth:`call`; ``interrupt`` is the text that ends the run once printed."""
        path = str(self.root / name)
        return self.call(*(("-c", INTERRUPT, interrupt, path) if interrupt else (path,)), *words)

    def mask(self, text: str) -> str:
        """A line without what depends on the place and the time."""
        for path in sorted(self.masks, key=len, reverse=True):
            text = text.replace(path, self.masks[path])
        text = re.sub(r"(Speed|Training cost): -?[\d.]+", r"\1: *", text)
        text = re.sub(r"[\d.]+ (images/s|in the network alone)", r"* \1", text)
        text = re.sub(r"0x[0-9a-f]{6,}", "0x*", text)
        return re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?", "*", text)

    def mask_json(self, value: Any, name: str = "") -> Any:
        """A JSON value without what depends on the place, the time and the machine."""
        timed = name in ("speed", "seconds") or name.endswith("images_per_second")
        if value is not None and timed:
            return "*"
        if isinstance(value, dict):
            if name == "versions":
                return dict.fromkeys(value, "*")
            return {key: self.mask_json(part, key) for key, part in value.items()}
        if isinstance(value, list):
            return [self.mask_json(part) for part in value]
        return self.mask(value) if isinstance(value, str) else value


# Results


def hashed(data: bytes) -> str:
    """Sixteen hexadecimal digits of the sha256."""
    return hashlib.sha256(data).hexdigest()[:16]


def hashed_array(array: np.ndarray) -> str:
    """Hash of type, shape and values."""
    return hashed(
        f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()
    )


def summary(array: np.ndarray) -> str:
    """Hash, mean and standard deviation of an array."""
    values = array.astype(np.float64)
    return f"{hashed_array(array)} {values.mean():.5g} {values.std():.5g}"


def read_params(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.params`` file, MXNet's format for dense arrays by name."""
    file = io.BytesIO(path.read_bytes())

    def take(form: str) -> tuple:
        return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))

    if take("QQ")[0] != 0x112:
        raise ValueError(f"{path}: not a file of MXNet's arrays")
    arrays = []
    for _ in range(take("Q")[0]):
        magic, storage = take("Ii")
        if magic not in (0xF993FAC9, 0xF993FACA) or storage != 0:
            raise ValueError(f"{path}: has an array that is not dense")
        shape = take(f"{take('I')[0]}q")
        kind = np.dtype(("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8")[take("iii")[2]])
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        arrays.append(np.frombuffer(file.read(size), kind).reshape(shape))
    names = [file.read(take("Q")[0]).decode() for _ in range(take("Q")[0])]
    return dict(zip(names, arrays))


def short_facts(value: Any) -> Any:
    """Facts of a state; long tables of one number are written as ``{"58 times": 9}``."""
    if not isinstance(value, dict):
        return value
    first = next(iter(value.values()), None)
    if len(value) > 8 and isinstance(first, int) and [*value.values()] == [first] * len(value):
        return {f"{len(value)} times": first}
    return {name: short_facts(part) for name, part in value.items()}


def folder_of(words: Sequence[str]) -> str:
    """The folder that a run writes: that of ``--save-prefix`` or ``--json``, which come last."""
    return re.match(r"runs/\w+", words[-1]).group()


def result(checkout: Checkout, name: str, case: dict) -> dict:
    """Run a script; return what it printed, its logs, its figures and its files."""
    script, words = case["script"], case["words"]
    folder = checkout.work / folder_of(words)
    folder.mkdir(parents=True, exist_ok=True)
    code, out, told = checkout.script(script, *words, interrupt=INTERRUPTED.get(name, ""))
    record: dict[str, Any] = {"script": script, "words": words, "exit": code}
    for path in folder.glob("*_train.log"):
        record["log"] = [*map(checkout.mask, path.read_text().splitlines())]
    record["stdout"] = [line for line in out if line not in set(record.get("log", ()))]
    record["stderr"] = told
    for path in folder.glob("*_metrics.jsonl"):
        values = [checkout.mask_json(json.loads(line)) for line in path.read_text().splitlines()]
        record["metrics"] = values
        record["mAP"] = [value["mAP"] for value in values if value["kind"] == "validation"]
    for path in folder.glob("*_best_map.log"):
        record["best_map"] = path.read_text().splitlines()
    for path in folder.glob("*eval.json"):
        record["json"] = checkout.mask_json(json.loads(path.read_text()))
        record["mAP"] = [part["mAP"] for part in record["json"]["metrics"].values()]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    record["files"] = {}
    for path in files:
        digest = hashed(path.read_bytes()) if path.suffix in (".params", ".png") else ""
        record["files"][str(path.relative_to(folder))] = digest
    for path in folder.glob("*_state.zip"):
        state, facts = {}, {}
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    state[member[:-4]] = summary(np.load(io.BytesIO(archive.read(member))))
                else:
                    facts[member] = json.loads(archive.read(member))
        record["facts"] = checkout.mask_json(short_facts(facts))
        if name in INTERRUPTED:  # the run that resumes has the arrays one by one
            state = {f"{len(state)} arrays": hashed(json.dumps(state).encode())}
        record["state"] = state
    parameters = [path for path in files if path.suffix == ".params"]
    for path in [path for path in parameters if path.name.endswith("_best.params")] or parameters:
        record["params"] = {}
        for array, value in read_params(path).items():
            same = record.get("state", {}).get(f"blocks/student/{array}@0", "").split(" ")[0]
            digest = hashed_array(value)
            record["params"][array] = "=" if digest == same else digest  # =: as in the state
    return record


def figures(record: dict) -> list[str]:
    """The lines of a log that depend neither on the number of starts nor on the prefix."""
    of_a_start = r"Namespace\(|Start training|.*Set (GAN )?learning rate|.*[Ss]aving"
    return [line for line in record["log"] if not re.match(of_a_start, line)]


def record_runs(checkout: Checkout, cases: dict[str, dict], jobs: int) -> dict:
    """The results of the runs, ``jobs`` at once. Runs that end in equal arrays refer to each other."""
    futures: dict[str, Future] = {}

    def perform(name: str, case: dict, earlier: Sequence[str]) -> dict:
        text = " ".join(case["words"])
        for other in earlier:  # these were submitted before: each has ended or is running
            if f"{folder_of(cases[other]['words'])}/" in text:
                futures[other].result()
        started = time.perf_counter()
        record = result(checkout, name, case)
        print(f"{name}: {time.perf_counter() - started:.1f} s, exit {record['exit']}", flush=True)
        return record

    with ThreadPoolExecutor(jobs) as pool:
        for name, case in cases.items():
            futures[name] = pool.submit(perform, name, case, [*futures])
    records = {name: future.result() for name, future in futures.items()}
    for name, case in cases.items():
        other = case.get("same", {}).get("as")
        if other in records:
            mine, twin = records[name], records[other]
            same = mine["state"] == twin["state"]
            mine["same"] = {"as": other, "state": same, "figures": figures(mine) == figures(twin)}
            for part in ("state", "params") if same else ():
                if mine[part] == twin[part]:
                    mine[part] = {"same as": other}
    return records


def has_name(line: str, token: str) -> bool:
    """Whether a message names an option or a file, and not another that begins or ends alike."""
    return bool(re.search(rf"(?<![\w-]){re.escape(token)}(?![\w-])", line))


def error_record(case: dict, words: list[str], code: int, lines: Sequence[str]) -> dict:
    """What a call with bad input printed; ``words`` are those of the record."""
    line = next((line for line in lines if line.startswith(case["script"])), "")
    line = line or (lines[-1] if lines else "")
    return {
        **{"script": case["script"], "words": words, "exit": code, "line": line},
        **{"lines": len(lines), "traceback": any(s.startswith("Traceback") for s in lines)},
        "must": {token: has_name(line, token) for token in case["must"]},
        "named": sorted(set(re.findall(r"--[A-Za-z][\w-]*", line))),
    }


def record_errors(checkout: Checkout, cases: dict[str, dict], jobs: int) -> dict:
    """Exit code and message for each bad input. Each writes to a folder of its own, ``out/NUMBER``."""

    def perform(numbered: tuple[int, dict]) -> dict:
        number, case = numbered
        out = f"out/{number:02d}"
        words = [f"{out}/x" if word == "out/x" else word for word in case["words"]]
        code, printed, told = checkout.script(case["script"], *words)
        lines = [line.replace(out, "out") for line in told]
        files = [path for path in (checkout.work / out).rglob("*") if path.is_file()]
        left = sorted(str(path.relative_to(checkout.work / out)) for path in files)
        record = error_record(case, case["words"], code, lines)
        return {**record, "stdout": len(printed), "left": left}

    with ThreadPoolExecutor(jobs) as pool:
        return dict(zip(cases, pool.map(perform, enumerate(cases.values()))))


def record_options(checkout: Checkout) -> dict:
    """Help text, options and Namespace of each script."""
    records = {}
    for name in SCRIPTS:
        code, text, _ = checkout.script(name, "--help")
        path = str(checkout.root / name)
        parsed = checkout.call("-c", OPTIONS, json.dumps(PROBES), path)
        if parsed[0] != 0:
            raise SystemExit(f"{name}: its options cannot be read: {parsed[2]}")
        found = json.loads(parsed[1][-1])
        options = {option.pop("dest"): option for option in found["options"]}
        records[name] = {"exit": code, "help": text, "options": options}
        records[name]["namespace"] = found["namespace"]
    return records


def about(checkout: Checkout) -> dict:
    """What the bits depend on: settings, processor, versions."""
    git = ["git", "-C", str(checkout.root), "describe", "--always", "--dirty", "--abbrev=40"]
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "format": 1,
        "revision": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
        "settings": {n: value for n, value in checkout.env.items() if NOTED.fullmatch(n)},
        "processor": processor.group(1) if processor else platform.machine(),
        "versions": json.loads(checkout.call("-c", VERSIONS)[1][-1]),
    }


def read(path: Path) -> dict:
    """Read a record, which may be compressed."""
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def record(options: argparse.Namespace) -> int:
    """Write the record of a checkout."""
    cases = read(options.cases)
    with tempfile.TemporaryDirectory(prefix="freeze-") as folder:
        checkout = Checkout(options.root, options.python, Path(folder))
        found = {"about": about(checkout), "options": record_options(checkout)}
        found["runs"] = record_runs(checkout, cases["runs"], options.jobs)
        make_bad_files(checkout.work)
        found["errors"] = record_errors(checkout, cases["errors"], options.jobs)
    options.file.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    return 0


# Comparison

#: What may change: wording, names of Python objects, versions. Differences there are notes.
NOTES = re.compile(
    r"about (revision|versions)|options \S+ (help\.|.*\.(type|action)$)|errors .* (line$|named|words)"
)


class Difference(NamedTuple):
    """A difference; ``where`` is the part of the record and the name of the run, script or bad input."""

    where: str
    what: str
    before: Any
    after: Any

    @property
    def counts(self) -> bool:
        return not NOTES.match(f"{self.where} {self.what}")


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dicts and lists by their path."""
    if isinstance(value, (dict, list)) and value:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flat(part, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def pairs(before: dict, after: dict) -> Iterator[tuple[str, Any, Any]]:
    """The keys of two dicts, each with both values; None stands for one that is missing."""
    for name in {**before, **after}:
        yield name, before.get(name), after.get(name)


def explained(text: list[str]) -> list[str]:
    """The option strings that a help text explains."""
    lines = (line for line in text if line.startswith("  -"))
    return sorted({word for line in lines for word in re.findall(r"--[\w-]+", line)})


def exact(before: dict, after: dict) -> Iterator[Difference]:
    """All differences between the parts that both records have."""
    for part in before.keys() & after.keys():
        for name, old, new in pairs(before[part], after[part]):
            where = f"{part} {name}" if part != "about" else part
            if part == "options":
                old, new = ({**one, "explained": explained(one["help"])} for one in (old, new))
            leaves = (dict(flat(one, name if part == "about" else "")) for one in (old, new))
            for what, a, b in pairs(*leaves):
                named = what.startswith("must.") and not a and b  # more is named than before
                if json.dumps(a) != json.dumps(b) and not named:
                    yield Difference(where, what, a, b)


#: (absolute, relative) between two machines. The first figures of a run agree well; then the training
#: amplifies rounding, and mAP has only six validation images. The values are about twice what was seen
#: between two instruction sets of one machine (DNNL_MAX_CPU_ISA).
TOLERANCES = {
    "first loss": (0.02, 0.1),
    "loss": (0.1, 0.35),
    "mAP": (0.35, 0.0),
    "mean mAP": (0.05, 0.0),
    "mean": (0.04, 0.75),  # of an array, relative to its standard deviation
    "std": (0.03, 0.6),
}


def numbers(run: dict) -> Iterator[tuple[str, tuple]]:
    """The numbers of a run by name: each with the kind of its tolerance and its scale."""
    for number, value in enumerate(run.get("mAP", ())):
        yield f"mAP of validation {number + 1}", ("mAP", value, value)
    kind = "first loss"
    for line in run.get("metrics", ()):
        if line["kind"] in ("step", "epoch"):
            place = f"{line['kind']} {line['epoch']}/{line.get('batch', 'end')}"
            for name, value in line.items():
                yield f"{place} {name}", (kind if isinstance(value, float) else "", value, value)
            kind = "loss"
    for name, text in run.get("state", {}).items():
        if "@" in name:  # not a reference to another run
            mean, std = map(float, text.split()[1:])
            yield f"{name} mean", ("mean", mean, std)
            yield f"{name} std", ("std", std, std)


def is_near(before: tuple | None, after: tuple | None) -> bool:
    """Whether two of :func:`numbers` agree as far as they should on two machines."""
    if before is None or after is None:
        return False
    (kind, a, scale), b = before, after[1]
    if kind not in TOLERANCES or not isinstance(b, float):
        return a == b
    absolute, relative = TOLERANCES[kind]
    return abs(a - b) <= absolute + relative * abs(scale)


def near(before: dict, after: dict) -> Iterator[Difference]:
    """Differences between the numbers of two records that exceed the tolerances."""
    means = []
    for one in (before, after):
        found = [value for run in one["runs"].values() for value in run.get("mAP", ())]
        means.append(("mean mAP", statistics.fmean(found or [0.0]), 0))
    if not is_near(*means):
        yield Difference("runs", "mean mAP", *means)
    for name, old, new in pairs(before["runs"], after["runs"]):
        for what, a, b in pairs(dict(numbers(old or {})), dict(numbers(new or {}))):
            if not is_near(a, b):
                yield Difference(f"runs {name}", what, a, b)


def compare(options: argparse.Namespace) -> int:
    """Print the differences between two records; return 1 if any of them counts."""
    before, after = read(options.before), read(options.after)
    found = [*(near if options.tolerance else exact)(before, after)]
    shown: Counter = Counter()
    for one in found:
        place = one.where, one.what.split(".")[0], one.counts
        shown[place] += 1
        if options.all or shown[place] <= 6:
            print(f"{'' if one.counts else 'note: '}{one.where}: {one.what}")
            print(f"  - {one.before}\n  + {one.after}")
        elif shown[place] == 7:
            print("  and more (--all)")
    bad = sum(one.counts for one in found)
    print(f"{bad or 'no'} differences, {len(found) - bad} notes")
    return 1 if bad else 0


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("record", help="run the scripts and write what they did")
    one.add_argument("file", type=Path, metavar="FILE.json", help="file to write")
    one.add_argument("--root", type=Path, default=Path(), help="checkout (default: this folder)")
    one.add_argument("--python", type=Path, default=Path(sys.executable), help="interpreter")
    one.add_argument("--cases", type=Path, default=BASELINE, help="record whose cases are run")
    one.add_argument("--jobs", type=int, default=2, help="number of runs at once")
    one.set_defaults(run=record)
    two = commands.add_parser("compare", help="print the differences between two records")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    two.add_argument("--tolerance", action="store_true", help="compare numbers of two machines")
    two.add_argument("--all", action="store_true", help="print every difference")
    two.set_defaults(run=compare)
    return parser.parse_args(words)


if __name__ == "__main__":
    arguments = parse()
    sys.exit(arguments.run(arguments))

"""The structure of the package: import order, sizes, names."""

import ast
import collections
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "gan_kd_ssd"
FILES = sorted(PACKAGE.rglob("*.py"))

#: The packages from the bottom to the top: a package imports only packages that stand before it.
ORDER = [
    *("util", "logs", "data", "detectors", "distill", "evaluation", "config", "engine", "analysis"),
    *("paper", "zoo", "export", "doctor", "demo", "cli"),
]
#: Packages that import no MXNet, not even indirectly, when their modules are imported.
WITHOUT_MXNET = ["config", "logs", "analysis", "paper"]


def _drawing():
    spec = importlib.util.spec_from_file_location("drawing", ROOT / "docs" / "draw_architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _nodes(kind):
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield file.relative_to(ROOT), node


def test_no_import_runs_upwards():
    upwards = {
        f"{room} imports {other}"
        for room, others in _drawing().imports().items()
        for other in others
        if ORDER.index(other) > ORDER.index(room)
    }
    assert not upwards


def test_the_picture_shows_the_imports_of_today():
    drawn = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert drawn == _drawing().svg(), "run `python docs/draw_architecture.py`"


def test_every_package_has_a_paragraph_in_the_documentation():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [room for room in ORDER if f"`{room}`" not in text] == []


def test_no_function_is_longer_than_60_lines():
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = {
        f"{file}:{node.name}": length
        for file, node in _nodes(functions)
        if (length := node.end_lineno - node.lineno + 1) > 60
    }
    assert not long


def test_no_constructor_has_more_than_8_parameters():
    large = {}
    for file, node in _nodes(ast.ClassDef):
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                arguments = part.args
                count = len(arguments.args) - 1 + len(arguments.kwonlyargs)
                if count > 8:
                    large[f"{file}:{node.name}"] = count
        fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
        if _is_record(node) and len(fields) > 8 and "options" not in ast.unparse(node):
            large[f"{file}:{node.name}"] = len(fields)
    assert not large


def _is_record(node):
    names = [ast.unparse(part) for part in (*node.decorator_list, *node.bases)]
    return any("dataclass" in name or "NamedTuple" in name for name in names)


def test_no_two_modules_have_the_same_name():
    stems = collections.Counter(file.stem for file in FILES if not file.stem.startswith("__"))
    assert [name for name, count in stems.items() if count > 1] == []


def test_no_two_public_classes_have_the_same_name():
    places = collections.defaultdict(list)
    for file, node in _nodes(ast.ClassDef):
        if not node.name.startswith("_"):
            places[node.name].append(str(file))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("package", WITHOUT_MXNET)
def test_packages_about_logs_import_no_mxnet(package):
    drawing = _drawing()
    imported = set()
    for file in (PACKAGE / package).rglob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
    assert drawing and not {name for name in imported if name and name.endswith("util.mxnet")}

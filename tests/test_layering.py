"""The architecture diagram: which part of the package may import which."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "tfseg"
ANYWHERE = {"errors"}
MAY_IMPORT = {
    "errors": set(),
    "labels": set(),
    "layers": set(),
    "losses": set(),
    "markdown": set(),
    "system": set(),
    "formats": {"labels", "system"},
    "postprocess": {"labels"},
    "visualize": {"labels"},
    "backbones": {"formats", "layers"},
    "data": {"formats", "labels", "markdown", "postprocess", "system"},
    "metrics": {"formats", "labels", "system"},
    "models": {"backbones", "data", "layers", "losses", "postprocess"},
    "architectures": {"data", "losses", "models"},
    "config": {"architectures", "data", "models"},
    "runs": {"architectures", "backbones", "config", "data", "formats", "labels", "models", "system"},
    "inference": {"formats", "labels", "layers", "models", "postprocess", "runs", "system"},
    "__init__": {"inference"},
    "commands": {
        "architectures",
        "backbones",
        "config",
        "data",
        "formats",
        "inference",
        "labels",
        "markdown",
        "metrics",
        "system",
        "visualize",
    },
    "evaluation": {
        "config",
        "data",
        "formats",
        "inference",
        "labels",
        "markdown",
        "metrics",
        "postprocess",
        "runs",
        "system",
        "visualize",
    },
    "profiling": {"architectures", "backbones", "formats", "inference", "layers", "markdown", "models", "system"},
    "export": {
        "data",
        "evaluation",
        "formats",
        "inference",
        "layers",
        "markdown",
        "metrics",
        "profiling",
        "runs",
        "system",
    },
    "training": {
        "architectures",
        "backbones",
        "config",
        "data",
        "evaluation",
        "layers",
        "losses",
        "metrics",
        "runs",
        "system",
    },
    "benchmarks": {
        "architectures",
        "backbones",
        "commands",
        "data",
        "export",
        "formats",
        "inference",
        "labels",
        "markdown",
        "metrics",
        "models",
        "postprocess",
        "profiling",
        "system",
    },
}


def imports_of(path):
    """Parts of the package that a file imports."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            parts |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tfseg.")}
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: imports are absolute")
        elif isinstance(node, ast.ImportFrom) and node.module == "tfseg":
            parts |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tfseg."):
            parts.add(node.module.split(".")[1])
    return parts


def test_each_part_imports_only_the_parts_below_it():
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for imported in sorted(imports_of(path) - MAY_IMPORT[part] - ANYWHERE - {part}):
            wrong.append(f"{path.relative_to(ROOT)} imports {imported}")
    assert wrong == []


def test_the_diagram_has_no_cycle_and_no_part_that_does_not_exist():
    parts = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.name != "__pycache__"}
    assert set(MAY_IMPORT) == parts
    done = set()
    while len(done) < len(MAY_IMPORT):
        free = {part for part, below in MAY_IMPORT.items() if below <= done} - done
        assert free, "the parts that are left import each other"
        done |= free


def test_tensorflow_addons_is_imported_in_one_file():
    files = [path for path in ROOT.rglob("*.py") if "tensorflow_addons" in path.read_text()]
    assert [str(path.relative_to(ROOT)) for path in files] == ["data/augment.py"]


def test_the_package_does_not_import_the_model_zoo_or_the_commands():
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in ("model_zoo", "train", "evaluate", "segment")]

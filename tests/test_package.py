"""The package: it needs what tfseg imports, holds what tfseg opens, and works away from the repository."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tfseg
from tests.hanging import HANG_SECONDS

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {"3.11": "requirements.txt", "3.12": "requirements-tf220.txt", "3.13": "requirements-tf220.txt"}
# Not found by the name of what is imported: what several packages bring, and what is not installed.
PACKAGES = {
    "cv2": "opencv-python",
    "google": "protobuf",
    "onnx": "onnx",
    "tensorflow_addons": "tensorflow-addons",
    "panopticapi": "panopticapi-lite",
    "apache_beam": "apache-beam",
}
MOST_MEGABYTES = 100  # of a file on PyPI
LEFT_OUT = {".png"}  # pictures for readers of the zoo
FILES = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]


def imported(folder):
    """{package that is imported: files} of the modules in a folder of tfseg; tfseg and Python's own excepted."""
    found = {}
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"tfseg", "model_zoo"}:
                found.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return found


def required(python, extras=()):
    """{name of a package: its requirement} of an installation for a version of Python."""
    lines = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    environment = default_environment() | {"python_version": python}
    wanted = [Requirement(line) for line in lines]
    return {
        canonicalize_name(each.name): each for each in wanted if not each.marker or each.marker.evaluate(environment)
    }


def package_of(name):
    return PACKAGES.get(name) or canonicalize_name(importlib.metadata.packages_distributions()[name][0])


def test_the_package_needs_what_tfseg_imports_and_nothing_else():
    names = set(imported("tfseg")) | set(imported("model_zoo"))
    packages = {package_of(name) for name in names - OF_EXTRAS.keys()}
    # tf-keras is what tensorflow.keras is, setuptools what TensorBoard imports and does not ask for.
    assert packages == set(required("3.11")) - {"setuptools"}
    assert packages - {"tensorflow-addons"} | {"tf-keras"} == set(required("3.12")) - {"setuptools"}
    assert set(required("3.12")) == set(required("3.13"))


OF_EXTRAS = {
    "apache_beam": "beam",
    "onnx": "onnx",
    "panopticapi": "benchmarks",
    "psutil": "benchmarks",
    "skimage": "benchmarks",
}


@pytest.mark.parametrize("name, extra", OF_EXTRAS.items())
def test_what_an_extra_brings_is_imported_inside_of_functions_or_in_parts_of_its_own(name, extra):
    assert package_of(name) in required("3.11", [extra])
    for file in imported("tfseg")[name]:
        top = [
            node for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        is_at_top = any(name in ast.unparse(node).split(" ")[1] for node in top)
        assert file.startswith(("tfseg/beam/", "tfseg/benchmarks/")) or not is_at_top


@pytest.mark.parametrize("python, lock", LOCKS.items())
def test_the_locked_versions_are_among_those_that_the_package_takes(python, lock):
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", (ROOT / lock).read_text(), re.MULTILINE))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    wanted = required(python, ["models", "litert"])
    assert {name: str(each) for name, each in wanted.items() if not each.specifier.contains(pins[name])} == {}


def test_the_pythons_are_those_of_the_locks():
    versions = [f"3.{minor}" for minor in range(9, 16)]
    supported = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert [version for version in versions if supported.contains(version)] == list(LOCKS)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(wheel, source archive) of the files of this checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    names = subprocess.run(FILES, cwd=ROOT, capture_output=True, text=True)
    if names.returncode:
        pytest.skip("not a git checkout: which files belong to it is not known")
    for name in names.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(ROOT / name, source / name)
    for kind in ("wheel", "sdist"):
        code = f"import setuptools.build_meta as backend; backend.build_{kind}({str(target)!r})"
        done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, timeout=HANG_SECONDS)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
    [wheel], [archive] = target.glob("*.whl"), target.glob("*.tar.gz")
    return wheel, archive


@pytest.mark.slow
def test_the_wheel_holds_every_module_recipe_and_trained_model(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        [metadata] = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA")]
        [entries] = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    files = {
        path.relative_to(ROOT).as_posix()
        for folder in ("tfseg", "model_zoo")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in LEFT_OUT
    }
    assert names == files
    assert entries.split() == ["[console_scripts]", "tfseg", "=", "tfseg.commands.program:main"]
    assert f"\nVersion: {tfseg.__version__}\n" in metadata and "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\n# tfseg\n" in metadata
    assert built[0].stat().st_size < MOST_MEGABYTES * 1e6


@pytest.mark.slow
def test_the_source_archive_builds_and_tests_itself(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    scripts = {path.name for path in ROOT.glob("*.py")}
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "requirements.txt", "tests/conftest.py"} <= names
    assert scripts <= names and {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} <= names
    assert built[1].stat().st_size < MOST_MEGABYTES * 1e6


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """run(*words) runs a program of an environment in which the wheel is installed -> CompletedProcess.

    What the wheel needs comes from the environment that runs the tests.
    """
    root = tmp_path_factory.mktemp("installed")
    venv.create(root / "venv", with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(root / "venv"), "platbase": str(root / "venv")}))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        root / "venv/bin/python",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, built[0]], check=True, timeout=HANG_SECONDS)
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"))
    (root / "work").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["TFSEG_CACHE"] = str(root / "cache")

    def run(*words):
        words = [root / "venv/bin" / words[0], *words[1:]]
        return subprocess.run(
            words, cwd=root / "work", env=environment, capture_output=True, text=True, timeout=HANG_SECONDS
        )

    run.folder = root / "work"
    return run


@pytest.mark.slow
def test_an_installation_loads_a_model_of_the_zoo_by_name_and_segments_with_it(installed, save, photo):
    save(installed.folder / "photo.png", photo.repeat(16, 0).repeat(16, 1))
    code = (
        "import tfseg; assert 'site-packages/tfseg' in tfseg.__file__ and tfseg.__file__.startswith('ROOT');"
        "print(tfseg.load('zoo:camvid_rnn_mobilenet_v2').predict('photo.png').class_ids.shape)"
    ).replace("ROOT", str(installed.folder.parent))
    done = installed("python", "-c", code)
    assert (done.returncode, done.stdout) == (0, "(64, 96)\n"), done.stderr
    done = installed("tfseg", "segment", "--model=zoo:camvid_rnn_mobilenet_v2", "photo.png")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (installed.folder / "segmented").iterdir()) == [
        "photo_classes.png",
        "photo_overlay.jpg",
    ]


@pytest.mark.slow
def test_an_installation_counts_a_model_and_trains_one_on_its_recipe(installed):
    done = installed("tfseg", "profile", "--model=rnn", "--size=65x65", "--iters=2", "--rounds=0")
    assert (done.returncode, done.stderr) == (0, "") and "\nsize: 65x65\n" in done.stdout
    words = ["--steps=1", "--batch_size=2", "--crop_size=64x64", "--validate_every=0"]
    done = installed("tfseg", "train", "--model=fcn", *words)
    assert done.returncode == 0, done.stderr
    assert "done: tfseg evaluate --model=runs/scenes_fcn\n" in done.stdout


def test_the_image_is_made_by_the_steps_of_a_set_up_and_of_an_installation():
    """No image is built here: its steps are compared with those that the tests run."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] not in "# "]
    [system, packages, wheel, user] = [words for step, words in steps if step == "RUN"]
    assert "libgl1" in system and "useradd" in user
    assert packages == 'make setup VENV=/opt/venv GPU="$GPU"'
    assert wheel.startswith("/opt/venv/bin/python -m pip install ")
    assert {"--no-deps", "--no-index", "--no-build-isolation", "."} <= set(wheel.split())
    for names in (words.split()[:-1] for step, words in steps if step == "COPY"):
        assert all(name == "." or list(ROOT.glob(name)) for name in names)
    [base] = [words for step, words in steps if step == "FROM"]
    assert base.removeprefix("python:").split("-")[0] in LOCKS
    assert ["ENTRYPOINT", '["tfseg"]'] in steps
    needed = {"pyproject.toml", "README.md", "LICENSE", "tfseg", "model_zoo"}
    assert needed & set((ROOT / ".dockerignore").read_text().split()) == set()

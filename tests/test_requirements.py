"""Locks: every package that is installed is pinned, with hashes, and asked about; SECURITY.md explains what remains."""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = sorted(ROOT.glob("requirements*.txt"))
NAME = r"([A-Za-z0-9._-]+)(?:\[[a-z, ]+\])?"
PIN = re.compile(rf"^{NAME}==([^\s\\;]+)((?: \\\n +--hash=sha256:[0-9a-f]{{64}})*)$", re.MULTILINE)
LOCKED_AFTER = {
    "requirements-pip.txt": "requirements.txt",
    "requirements-onnx.txt": "requirements.txt",
    "requirements-gpu.txt": "requirements.txt",
    "requirements-tf220-gpu.txt": "requirements-tf220.txt",
}
STACK = "requirements.txt" if sys.version_info < (3, 12) else "requirements-tf220.txt"
WANTED_OLDER_BY_BEAM = {"cryptography", "grpcio", "httplib2", "pyarrow", "python-dateutil"}

every_lock = pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)


def pins(lock):
    """{package: version} of a lock."""
    return {canonicalize_name(name): version for name, version, _ in PIN.findall(lock.read_text())}


def direct_pins(lock):
    """{package: version} of what a lock is made of."""
    lines = lock.with_suffix(".in").read_text().splitlines()
    wanted = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in wanted}


@pytest.fixture
def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def answered(audit, monkeypatch, tmp_path):
    """Runs the audit of one lock with a pip-audit that prints the given text."""

    def run(output, errors="", code=0, explained="", locks=("a.txt",)):
        def pip_audit(words, **options):
            return subprocess.CompletedProcess(words, code, output, errors)

        for lock in locks:
            (tmp_path / lock).write_text("")
        (tmp_path / "SECURITY.md").write_text(
            f"# Security\n\n## Known advisories\n\n{explained}\n\n## Other\n\nCVE-2000-0009\n"
        )
        monkeypatch.setattr(audit, "EXPLAINED_IN", tmp_path / "SECURITY.md")
        monkeypatch.setattr(audit.subprocess, "run", pip_audit)
        return audit.main([str(tmp_path / lock) for lock in locks])

    return run


def report(*advisories, name="toy"):
    vulns = [{"id": ids[0], "aliases": list(ids[1:]), "fix_versions": ["2.1"]} for ids in advisories]
    return json.dumps({"dependencies": [{"name": name, "version": "2.0", "vulns": vulns}], "fixes": []})


def test_every_list_of_direct_pins_has_its_lock():
    assert [path.name for path in LOCKS] == [
        path.with_suffix(".txt").name for path in sorted(ROOT.glob("requirements*.in"))
    ]
    assert set(
        re.search(r"LOCKS := ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text())[1].replace("\\", "").split()
    ) == {path.name for path in LOCKS}


@every_lock
def test_every_package_of_a_lock_has_one_version_and_hashes(lock):
    lines = [line for line in lock.read_text().splitlines() if line and not line.lstrip().startswith(("#", "--hash"))]
    found = PIN.findall(lock.read_text())
    assert [line for line in lines if not re.fullmatch(rf"{NAME}==[^\s;]+ \\", line)] == []
    assert len(found) == len(lines) and [name for name, _, hashes in found if not hashes] == []
    assert len(pins(lock)) == len(found)


@every_lock
def test_a_lock_has_the_direct_pins_it_was_made_of(lock):
    wanted = direct_pins(lock)
    assert {name: pins(lock).get(name) for name in wanted} == wanted


@every_lock
def test_a_lock_names_no_place_to_fetch_from(lock):
    for path in (lock, lock.with_suffix(".in")):
        assert re.findall(r"://|index-url|find-links|trusted-host| @ ", path.read_text()) == []


@pytest.mark.parametrize("name, before", LOCKED_AFTER.items(), ids=LOCKED_AFTER)
def test_what_is_installed_into_one_environment_agrees(name, before):
    one, other = pins(ROOT / name), pins(ROOT / before)
    assert {package: one[package] for package in one.keys() & other.keys() if one[package] != other[package]} == {}


def test_the_environment_of_beam_has_the_same_packages_but_for_those_that_beam_wants_older():
    beam, usual = pins(ROOT / "requirements-beam.txt"), pins(ROOT / "requirements.txt")
    assert {name for name, version in usual.items() if beam.get(name, version) != version} == WANTED_OLDER_BY_BEAM


def test_the_environment_is_what_the_locks_say():
    wanted = pins(ROOT / STACK) | pins(ROOT / "requirements-pip.txt")
    # Not all of sys.path: setuptools puts its own copies of packages there.
    found = importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
    installed = {canonicalize_name(each.metadata["Name"]): each.version for each in found}
    others = {name: installed.get(name) for name in wanted if installed.get(name) != wanted[name]}
    assert others == {}, "run `make setup`"


@pytest.mark.parametrize("stack", ["requirements.txt", "requirements-tf220.txt"])
def test_both_packages_of_opencv_have_one_version(stack):
    versions = pins(ROOT / stack)
    assert versions["opencv-python"] == versions["opencv-python-headless"]


def test_whatever_the_makefile_installs_is_checked_against_hashes():
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    [options] = re.findall(r"^INSTALL := (.*)$", text, re.MULTILINE)
    assert {"--require-hashes", "--only-binary", "--no-build-isolation"} <= set(options.split())
    assert re.findall(r"pip install", text.replace(options, "")) == []


@pytest.mark.parametrize("stack", ["requirements.in", "requirements-tf220.in"])
def test_packages_that_are_built_here_are_the_same_in_the_lock_and_in_the_makefile(stack):
    built = set(re.findall(r"^--no-binary (\S+)$", (ROOT / stack).read_text(), re.MULTILINE))
    assert built == set(re.search(r"--no-binary (\S+)", (ROOT / "Makefile").read_text())[1].split(","))


def test_an_advisory_that_nobody_explained_fails_the_audit_and_is_named(answered, capsys):
    assert answered(report(("PYSEC-2030-1", "CVE-2030-0001"), ("GHSA-aaaa-bbbb-cccc",)), code=1) == 1
    out = capsys.readouterr().out
    assert "toy 2.0: PYSEC-2030-1 CVE-2030-0001, fixed in 2.1\n" in out and "toy 2.0: GHSA-aaaa-bbbb-cccc, fixed" in out
    assert "1 pins, 2 advisories" in out


@pytest.mark.parametrize(
    "explained", ["| hole | CVE-2030-0001, CVE-2031-0002 | no |", "PYSEC-2030-1", "(CVE-2030-0001)"]
)
def test_an_advisory_that_is_explained_by_any_of_its_ids_passes(answered, capsys, explained):
    assert answered(report(("PYSEC-2030-1", "CVE-2030-0001")), code=1, explained=explained) == 0
    assert "0 advisories" in capsys.readouterr().out


@pytest.mark.parametrize("explained", ["", "CVE-2030-00011", "CVE-2030-000", "XCVE-2030-0001"])
def test_other_ids_and_other_sections_explain_nothing(answered, explained):
    assert answered(report(("CVE-2030-0001",)), code=1, explained=explained) == 1
    assert answered(report(("CVE-2000-0009",)), code=1) == 1


SKIPPED = json.dumps({"dependencies": [{"name": "toy", "skip_reason": "not found"}], "fixes": []})
UNANSWERED = {
    "every package skipped": (SKIPPED, "No known vulnerabilities found\n", 0),
    "a traceback": ("", "Traceback (most recent call last):\n  File ...\nConnectionError: no route\n", 1),
    "silence": ("", "", 1),
    "no packages": ('{"dependencies": [], "fixes": []}', "", 0),
    "other JSON": ("[]", "", 0),
}


@pytest.mark.parametrize("output, errors, code", UNANSWERED.values(), ids=UNANSWERED)
def test_no_answer_is_no_success_and_one_line_says_so(answered, capsys, output, errors, code):
    assert answered(output, errors, code) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("audit: the advisories cannot be asked for, so nothing is known. ")
    assert "a.txt" in captured.err


def test_one_package_without_an_answer_is_enough(answered):
    packages = json.loads(report(("CVE-2030-0001",)))["dependencies"] + json.loads(SKIPPED)["dependencies"]
    assert answered(json.dumps({"dependencies": packages})) == 2


def test_the_advisories_of_the_pins_that_have_to_stay_are_explained(audit):
    explained = audit.explained_advisories((ROOT / "SECURITY.md").read_text())
    assert {"CVE-2025-12060", "CVE-2026-0994", "CVE-2026-59890", "CVE-2026-2492", "GHSA-hqp4-2352-xf5r"} <= explained


def made(*words):
    """What make would run for some words, without running it."""
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "version, lock",
    [("3.11", "requirements"), ("3.12", "requirements-tf220"), ("3.13", "requirements-tf220")],
)
def test_a_set_up_installs_what_its_python_takes_and_on_demand_what_a_gpu_needs(tmp_path, version, lock):
    words = ["setup", f"VERSION={version}", f"VENV={tmp_path}/venv"]
    assert f"-r {lock}.txt\n" in made(*words) and "gpu" not in made(*words)
    assert f"-r {lock}.txt\n" in made(*words, "GPU=1") and f"-r {lock}-gpu.txt\n" in made(*words, "GPU=1")


@pytest.mark.parametrize("version", ["3.10", "3.14", ""])
def test_a_set_up_with_another_python_is_one_line_and_fails(tmp_path, version):
    words = ["make", "--no-print-directory", "setup", f"VERSION={version}", f"VENV={tmp_path}/venv"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stdout == "Python 3.11, 3.12 or 3.13 is needed; set PYTHON=/path/to/python3.11\n"
    assert list(tmp_path.iterdir()) == []


def test_a_triton_environment_without_a_python_for_it_is_one_line_and_fails():
    words = ["make", "--no-print-directory", "--always-make", ".venv-triton/.ready", "TRITON_PYTHON="]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stdout.startswith("Triton needs Python 3.11 or 3.12") and done.stdout.count("\n") == 1
    assert "apt-get install" in done.stdout


def test_all_stacks_are_tested_where_their_pythons_are():
    assert [f"python{version}" for version in ("3.11", "3.12", "3.13")] == re.search(
        r"^PYTHONS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )[1].split()

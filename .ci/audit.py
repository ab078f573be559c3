"""Fails on a published advisory about a pinned package that SECURITY.md does not explain.

python .ci/audit.py requirements.txt requirements-pip.txt      (what `make audit` runs, with pip-audit installed)
Exit code 0: none. 1: each is printed on a line. 2: the advisories could not be asked for, and nothing is known.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

EXPLAINED_IN = Path(__file__).resolve().parent.parent / "SECURITY.md"
SECTION = re.compile(r"^## Known advisories\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ADVISORY = re.compile(r"\b(?:CVE-\d{4}-\d{4,}|GHSA(?:-[0-9a-z]{4}){3}|PYSEC-\d{4}-\d+)\b")


class Unanswered(Exception):
    """The service of advisories gave no answer about some of the packages."""


def explained_advisories(text: str) -> set[str]:
    """Returns the ids in SECURITY.md's section of known advisories."""
    return {advisory for section in SECTION.findall(text) for advisory in ADVISORY.findall(section)}


def audited_packages(lock: str) -> list[dict]:
    """Asks for the advisories about the pins of a lock.

    Returns:
      pip-audit's record of every package: "name", "version", and "vulns" with "id", "aliases" and "fix_versions".
    Raises:
      Unanswered: pip-audit failed, or skipped a package. It ends with 0 when it has skipped all of them.
    """
    words = ["--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json", "--aliases=on"]
    child = subprocess.run([sys.executable, "-m", "pip_audit", *words, "-r", lock], capture_output=True, text=True)
    try:
        packages = json.loads(child.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = child.stderr.strip().splitlines() or [f"pip-audit ended with {child.returncode}"]
        raise Unanswered(f"{lock}: {lines[-1][:200]}") from None
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped or not packages:
        raise Unanswered(
            f"{lock}: no answer about {len(skipped)} of {len(packages)} packages ({', '.join(skipped[:3])})"
        )
    return packages


def unexplained(packages: list[dict], explained: set[str]) -> list[str]:
    """Returns a line for every advisory none of whose ids is explained."""
    return [
        f"{package['name']} {package['version']}: {' '.join([found['id'], *found['aliases']])}, "
        f"fixed in {', '.join(found['fix_versions']) or 'no release'}"
        for package in packages
        for found in package["vulns"]
        if explained.isdisjoint([found["id"], *found["aliases"]])
    ]


def main(locks: list[str]) -> int:
    explained = explained_advisories(EXPLAINED_IN.read_text())
    problems, num_packages = [], 0
    # The smallest first: where the service is out of reach, a few questions tell.
    for lock in sorted(locks, key=lambda lock: Path(lock).stat().st_size):
        try:
            packages = audited_packages(lock)
        except Unanswered as error:
            print(f"audit: the advisories cannot be asked for, so nothing is known. {error}", file=sys.stderr)
            return 2
        num_packages += len(packages)
        problems += [f"{lock}: {line}" for line in unexplained(packages, explained)]
    for problem in problems:
        print(problem)
    print(f"{num_packages} pins, {len(problems)} advisories that {EXPLAINED_IN.name} does not explain")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

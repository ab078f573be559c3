"""Documents name only what is there: files, headings, modules, commands and their flags."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from tfseg.commands import program

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
TOOLS = sorted((ROOT / "docs/tools").glob("*.md"))
OTHERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "model_zoo/README.md")]
DOCUMENTS = {str(path.relative_to(ROOT)): path for path in [*OTHERS, *PAGES, *TOOLS]}
MOST_README_LINES = 130
SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
INSTALLED = {name: f"{command.module}.py" for name, command in program.COMMANDS.items()}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]*\ssrc=\"([^\"]+)\"")
COMMAND = re.compile(r"\bpython (?:-m (?P<module>tfseg[\w.]*)|(?P<script>\w+\.py))(?P<words>.*)")
PROGRAM = re.compile(rf"\btfseg (?P<script>{'|'.join(INSTALLED)})\b(?P<words>.*)")
BARE_COMMAND = re.compile(r"(?P<script>\w+\.py)(?P<words>\s+--.*)")
FLAG = re.compile(r"(?<!\S)--?([A-Za-z]\w*)")
DOTTED = re.compile(r"\btfseg(?:\.[A-Za-z_]\w*)+")
PLACE = re.compile(r"(?<![\w./-])(?:tfseg|model_zoo|tests|docs|figures|examples)/[\w./-]*")
PLACEHOLDER = "new.py"  # of what a reader of CONTRIBUTING.md adds
PANOPTIC_SCORES = "tfseg/commands/panoptic_scores.py"

every_document = pytest.mark.parametrize("path", DOCUMENTS.values(), ids=DOCUMENTS.keys())


def without_fences(text):
    return FENCE.sub("", text)


def spans(text):
    """What stands between backticks in the prose."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without_fences(text))]


def command_lines(text):
    """Lines of the examples that are not Python, continued lines as one, without comments; and the spans."""
    examples = [code for language, code in FENCE.findall(text) if language != "python"]
    lines = "".join(examples).replace("\\\n", " ").splitlines()
    return [re.sub(r"(^|\s)#.*", "", line) for line in lines] + spans(text)


def commands(text):
    """(program, names of its flags) of every command in a document."""
    for line in command_lines(text):
        match = COMMAND.search(line) or BARE_COMMAND.fullmatch(line) or PROGRAM.search(line)
        if match:
            module, script = match.groupdict().get("module"), match["script"]
            file = Path(*module.split(".")).with_suffix(".py") if module else Path(INSTALLED.get(script, script))
            yield file, FLAG.findall(match["words"])


def anchors(path):
    """What links may name behind `#`: the headings of a page, as code hosts and site builders write them."""
    headings = re.findall(r"^#+ (.+)$", without_fences(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken_links(path):
    for link in ("".join(pair) for pair in LINK.findall(without_fences(path.read_text()))):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = path.parent / place if place else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def called(node):
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def short_flags(arguments=()):
    """Names that `define_short_flags` defines: those in its argument, or all."""
    if arguments:
        return set(ast.literal_eval(arguments[0]))
    tree = ast.parse((ROOT / "tfseg/commands/experiment_flags.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "SHORT_FLAGS":
            return {key.value for key in node.value.keys}
    raise AssertionError("experiment_flags.py has no SHORT_FLAGS")


def command_modules(tree):
    """Files of tfseg.commands that a program imports."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tfseg.commands"):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "program.run_command":  # a script and its command
            names.add(f"tfseg.commands.{ast.literal_eval(node.args[0])}")
    files = (ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in names)
    return {file for file in files if file.is_file()}


def flags_of(program, seen=frozenset()):
    """Flags that a program defines, by itself or through what it imports of tfseg.commands."""
    tree, found = ast.parse(program.read_text()), {"help", "h"}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = called(node)
        if name.startswith("DEFINE_") and node.args and isinstance(node.args[0], ast.Constant):
            found.add(node.args[0].value)
            found |= {f"no{node.args[0].value}"} if name == "DEFINE_boolean" else set()
        elif name == "define_short_flags":
            found |= short_flags(node.args)
    seen |= {program}
    return found.union(*(flags_of(file, seen) for file in command_modules(tree) - seen))


def names_in(module):
    """Names at the top of a module."""
    names = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        names |= {child.id for child in ast.walk(node) if isinstance(child, ast.Name) and type(child.ctx) is ast.Store}
    return names


def is_there(dotted):
    """Whether `tfseg.a.b.name` is a folder, a module, or a name in one."""
    place, (_, *parts) = ROOT / "tfseg", dotted.split(".")
    while parts and (place / parts[0] / "__init__.py").is_file():
        place /= parts.pop(0)
    module = place / "__init__.py"
    if parts and (place / f"{parts[0]}.py").is_file():
        module = place / f"{parts.pop(0)}.py"
    return not parts or parts[0] in names_in(module)


def imports(code):
    """Dotted names that an example imports."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_readme_stays_within_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_README_LINES


@every_document
def test_links_and_images_lead_to_files_and_headings(path):
    assert list(broken_links(path)) == []


def test_every_page_is_in_the_navigation_of_the_site_and_the_other_way_round():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    pages = [page for entry in nav for page in entry.values()]
    listed = [page for page in pages if isinstance(page, str)]
    listed += [page for several in pages if isinstance(several, list) for entry in several for page in entry.values()]
    assert sorted(listed) == sorted(str(path.relative_to(ROOT / "docs")) for path in [*PAGES, *TOOLS])


def test_the_readme_and_the_index_lead_to_every_page():
    readme, index = ((ROOT / name).read_text() for name in ("README.md", "docs/index.md"))
    assert [path.name for path in PAGES if f"](docs/{path.name})" not in readme] == []
    assert [path.name for path in PAGES if path.name != "index.md" and f"]({path.name})" not in index] == []


def test_the_page_of_annotations_leads_to_that_of_every_tool():
    text = (ROOT / "docs/annotations.md").read_text()
    assert [path.name for path in TOOLS if f"](tools/{path.name})" not in text] == []


@every_document
def test_modules_and_places_that_a_document_names_exist(path):
    text = path.read_text()
    places = [place.rstrip(".") for place in PLACE.findall(text)]
    wanted = [place.removesuffix(PLACEHOLDER) if place.endswith(f"/{PLACEHOLDER}") else place for place in places]
    assert [place for place in wanted if not (ROOT / place).exists()] == []
    assert [name for name in DOTTED.findall(text) if not is_there(name)] == []


@every_document
def test_examples_in_python_import_what_is_there(path):
    examples = [code for language, code in FENCE.findall(path.read_text()) if language == "python"]
    names = [name for code in examples for name in imports(code) if name.split(".")[0] == "tfseg"]
    assert [name for name in names if not is_there(name)] == []


@every_document
def test_commands_have_the_flags_that_a_document_gives_them(path):
    unknown = []
    for file, flags in commands(path.read_text()):
        assert (ROOT / file).is_file(), f"{path.name}: {file}"
        known = flags_of(ROOT / file)
        unknown += [f"{file} --{flag}" for flag in flags if flag not in known]
    assert sorted(set(unknown)) == []


@every_document
def test_a_flag_that_a_document_names_belongs_to_a_command(path):
    programs = [ROOT / name for name in SCRIPTS] + [ROOT / PANOPTIC_SCORES]
    known = set().union(*map(flags_of, programs))
    named = [flag for span in spans(path.read_text()) if span.startswith("-") for flag in FLAG.findall(span)]
    assert [flag for flag in named if flag not in known] == []


@every_document
def test_targets_of_make_that_a_document_names_exist(path):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [match[1] for line in command_lines(path.read_text()) if (match := re.match(r"make ([\w-]+)", line))]
    assert set(named) <= set(targets)


def test_the_house_in_contributing_names_every_part_of_the_package():
    lines = (ROOT / "CONTRIBUTING.md").read_text().split("\ntfseg/\n")[1].split("\ntests/")[0].splitlines()
    named = [line.split()[0].rstrip("/") for line in lines if re.match(r"  \w", line)]
    parts = {file.parent.name for file in (ROOT / "tfseg").glob("*/__init__.py")}
    assert sorted(named) == sorted(parts | {file.name for file in (ROOT / "tfseg").glob("[a-z]*.py")})


def test_flags_are_found_where_programs_define_them():
    train, costs, scores = (flags_of(ROOT / name) for name in ("train.py", "profile_flops.py", PANOPTIC_SCORES))
    assert {"workdir", "override", "nooverride", "iters", "init_from", "config", "debug"} <= train
    assert {"dataset", "backbone", "paper_tables"} <= costs
    assert "init_from" not in costs
    assert "iters" not in scores


def test_commands_are_found_in_examples_and_prose():
    text = (
        "Give `train.py --iters=6` or\n`python -m\ntfseg.a.b --x`:\n```\nA=1 python train.py \\\n  --y 2  # --z\n"
        "tfseg profile --u\n```\n"
    )
    assert sorted(commands(text)) == [
        (Path("profile_flops.py"), ["u"]),
        (Path("tfseg/a/b.py"), ["x"]),
        (Path("train.py"), ["iters"]),
        (Path("train.py"), ["y"]),
    ]

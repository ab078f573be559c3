"""Commands killed at any moment: started again, they lose nothing and leave nothing behind."""

import csv
import json
import shutil
import signal

import numpy as np
import pytest

import tfseg
from tests.conftest import served_commands, write_toy_folder
from tfseg.formats import export_manifest
from tfseg.formats.images import read_image

NUM_MOMENTS, KILLS = 30, 3  # moments of each command, and how many of them one after the other
APART = NUM_MOMENTS // KILLS
SEED = 0
TOY_RUN = "tests/training/toy_run.py"
WORKERS = 2
# Names of what is still to be written, moved or removed.
UNFINISHED = ("*.part", "*.partial", "*.old", "*.tmp*", "*_temp*")
OF_TENSORFLOW = "__autograph_generated_file"
at_all_moments = pytest.mark.parametrize("moments", [range(first, NUM_MOMENTS, APART) for first in range(APART)])
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """commands(*words, kill_after=None), see `served_commands`, with an empty temp folder, `commands.temporary`."""
    folder = tmp_path_factory.mktemp("kills")
    temporary = folder / "temporary"
    temporary.mkdir()
    with served_commands(folder, TMPDIR=str(temporary)) as run:
        run.temporary = temporary
        yield run


def done(answer):
    """The answer of a command that must have ended well."""
    assert answer["code"] == 0, answer["err"][-3000:]
    return answer


def kill_and_start_again(commands, words, seconds, moments, place, is_finished=lambda: False):
    """Kills a command at moments of its `seconds`, and runs it to its end; checks that only results are in `place`.

    The moments divide the time evenly, and each is drawn at random from its part. `is_finished` says of a command that
    does not run twice whether its result is there already, as after a kill while Python ends.
    """
    for moment in moments:
        share = (moment + np.random.default_rng((SEED, moment)).random()) / NUM_MOMENTS
        answer = commands(*words, kill_after=share * seconds)
        assert answer["orphans"] == []
        assert answer["code"] in (0, -signal.SIGKILL), answer["err"][-3000:]
        if answer["code"] == 0 or is_finished():
            break
    else:
        done(commands(*words))
    assert unfinished(place) == []
    assert emptied(commands.temporary) == []


def unfinished(folder):
    return sorted(str(path) for pattern in UNFINISHED for path in folder.rglob(pattern))


def emptied(folder):
    """Names of what was in the folder, which is empty now, without what TensorFlow leaves there after a kill."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith(OF_TENSORFLOW))
    shutil.rmtree(folder)
    folder.mkdir()
    return names


def files_of(folder):
    """Relative paths of the files in a folder; TensorBoard's have names that depend on the time."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.startswith("tensorboard/"))


@pytest.fixture(scope="module")
def raw(commands):
    """A raw folder with more images than one process converts."""
    folder = commands.folder / "raw"
    write_toy_folder(folder)
    for index in range(40):
        for part in ("images", "masks"):
            shutil.copy(folder / part / f"toy{index % 10}.png", folder / part / f"copy{index}.png")
    return folder


def conversion(raw, records):
    return [
        "prepare_data.py",
        "--dataset=folder",
        f"--raw_dir={raw}",
        f"--data_dir={records}",
        f"--num_workers={WORKERS}",
    ]


@pytest.fixture(scope="module")
def records(commands, raw):
    """(folder, seconds) of a conversion that nothing disturbed."""
    answer = done(commands(*conversion(raw, commands.folder / "records")))
    return commands.folder / "records", answer["seconds"]


def training(records, workdir):
    return [TOY_RUN, records, workdir, json.dumps({"training": {"total_steps": 6}})]


@pytest.fixture(scope="module")
def run(commands, records):
    """(run directory, seconds) of a training that nothing disturbed."""
    workdir = commands.folder / "unbroken" / "run"
    answer = done(commands(*training(records[0], workdir)))
    return workdir, answer["seconds"]


def evaluation(model, records):
    return ["evaluate.py", f"--model={model}", f"--data_dir={records}"]


@pytest.fixture(scope="module")
def evaluated(commands, run, records):
    """(numbers of the report, its files, seconds) of an evaluation that nothing disturbed."""
    shutil.copytree(run[0], commands.folder / "evaluated")
    answer = done(commands(*evaluation(commands.folder / "evaluated", records[0])))
    report = commands.folder / "evaluated" / "report"
    return numbers_of(report), files_of(report), answer["seconds"]


def export(model, records, output_dir):
    words = ["--name=toy", "--format=savedmodel,tflite", "--check_images=1", "--overwrite", f"--data_dir={records}"]
    return ["export.py", f"--model={model}", f"--output_dir={output_dir}", *words]


@pytest.fixture(scope="module")
def exported(commands, run, records):
    """(folder, seconds) of an export that nothing disturbed."""
    folder = commands.folder / "exports"
    answer = done(commands(*export(run[0], records[0], folder)))
    return folder, answer["seconds"]


def losses_of(workdir):
    with open(workdir / "metrics.csv") as file:
        return [(row["step"], row["loss"]) for row in csv.DictReader(file)]


def numbers_of(report):
    """The content of metrics.json without what a clock measured and where it lies."""
    metrics = json.loads((report / "metrics.json").read_text())
    points = [{name: value for name, value in one.items() if name != "milliseconds"} for one in metrics["iterations"]]
    return {"iterations": points, "num_images": metrics["num_images"], "remarks": metrics["remarks"]}


@at_all_moments
def test_a_killed_conversion_gives_the_same_records(commands, raw, records, moments):
    folder = commands.folder / f"converted{moments[0]}" / "records"
    is_finished = (folder / "manifest.json").exists
    kill_and_start_again(commands, conversion(raw, folder), records[1], moments, folder.parent, is_finished)
    assert files_of(folder.parent) == [f"records/{name}" for name in files_of(records[0])]
    for name in files_of(folder):
        assert (folder / name).read_bytes() == (records[0] / name).read_bytes(), name


@at_all_moments
def test_a_killed_training_gives_the_same_weights(commands, run, records, moments):
    workdir = commands.folder / f"trained{moments[0]}" / "run"
    kill_and_start_again(commands, training(records[0], workdir), run[1], moments, workdir.parent)
    assert files_of(workdir) == files_of(run[0])
    assert losses_of(workdir) == losses_of(run[0])
    with np.load(workdir / "weights" / "last.npz") as ours, np.load(run[0] / "weights" / "last.npz") as theirs:
        assert sorted(ours) == sorted(theirs)
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


@at_all_moments
def test_a_killed_evaluation_gives_the_same_numbers(commands, run, records, evaluated, moments):
    model = commands.folder / f"evaluated{moments[0]}"
    shutil.copytree(run[0], model)
    numbers, files, seconds = evaluated
    kill_and_start_again(commands, evaluation(model, records[0]), seconds, moments, model)
    assert numbers_of(model / "report") == numbers
    assert files_of(model / "report") == files


@at_all_moments
def test_a_killed_export_gives_files_that_work_alike(commands, run, records, exported, moments):
    folder = commands.folder / f"exported{moments[0]}"
    kill_and_start_again(commands, export(run[0], records[0], folder), exported[1], moments, folder)
    assert files_of(folder) == files_of(exported[0])
    photo = read_image(commands.folder / "raw" / "images" / "toy0.png")
    for name in export_manifest.read(folder / "toy")["artifacts"]:
        paths = [root / "toy" / name for root in (folder, exported[0])]
        assert all(map(export_manifest.check, paths))
        ours, theirs = (tfseg.load(path, trust=True).predict(photo).class_ids for path in paths)
        np.testing.assert_array_equal(ours, theirs)

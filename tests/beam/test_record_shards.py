"""Records made by the tasks of a job: the same files as without Beam."""

import functools
import importlib.util
import shutil

import pytest

from tests.beam import jobs
from tests.conftest import write_toy_folder
from tfseg.beam import launching, record_shards
from tfseg.beam.launching import BeamRunner
from tfseg.data import opening, tfrecord
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.errors import InputError

NUM_COPIES = 300  # of images: more than two shards hold
needs_beam = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None, reason="Apache Beam is not installed here; make test-beam has it"
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A raw folder for three shards of train and one of val."""
    folder = tmp_path_factory.mktemp("raw")
    write_toy_folder(folder)
    for index in range(NUM_COPIES):
        for part in ("images", "masks"):
            shutil.copy(folder / part / f"toy{index % 10}.png", folder / part / f"copy{index:03d}.png")
    return folder


def prepare(raw, target, options=None, runner=None):
    write = functools.partial(record_shards.write_splits, runner=runner) if runner else tfrecord.write_splits
    return opening.prepare("folder", raw, target, options or ConvertOptions(num_workers=1), write)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def plain(raw, tmp_path_factory):
    """{name: bytes} of the records without Beam."""
    folder = tmp_path_factory.mktemp("plain") / "records"
    prepare(raw, folder)
    assert len(list(folder.iterdir())) > 3
    return contents(folder)


def test_shards_made_in_any_order_are_those_without_beam(raw, plain, tmp_path, monkeypatch):
    monkeypatch.setattr(launching, "run", jobs.run_here)
    prepare(raw, tmp_path / "records", runner=BeamRunner("DirectRunner"))
    assert contents(tmp_path / "records") == plain
    assert [path.name for path in tmp_path.iterdir()] == ["records"]


def test_bad_files_are_skipped_and_listed_as_without_beam(raw, tmp_path, monkeypatch):
    shutil.copytree(raw, tmp_path / "raw")
    for name in ("copy007", "toy3"):
        (tmp_path / "raw" / "images" / f"{name}.png").write_text("no picture")
    options = ConvertOptions(num_workers=1, skip_bad=True)
    prepare(tmp_path / "raw", tmp_path / "plain", options)
    monkeypatch.setattr(launching, "run", jobs.run_here)
    prepare(tmp_path / "raw", tmp_path / "beam", options, BeamRunner("DirectRunner"))
    assert contents(tmp_path / "beam") == contents(tmp_path / "plain")
    assert len((tmp_path / "beam" / "skipped.txt").read_text().splitlines()) == 2
    with pytest.raises(InputError, match="2 bad files|copy007"):
        prepare(tmp_path / "raw", tmp_path / "none", runner=BeamRunner("DirectRunner"))
    assert not (tmp_path / "none").exists()


@needs_beam
@pytest.mark.slow
def test_workers_write_what_the_command_writes_without_them(command, raw, plain, tmp_path):
    words = ["--dataset=folder", f"--raw_dir={raw}", f"--data_dir={tmp_path / 'records'}", "--num_workers=2"]
    answer = command("prepare_data.py", *words, "--runner=DirectRunner")
    assert answer["code"] == 0, answer["err"]
    assert contents(tmp_path / "records") == plain
    assert [path.name for path in tmp_path.iterdir()] == ["records"]

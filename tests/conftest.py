"""Fixtures for all tests. Importing tfseg first keeps TensorFlow's start-up quiet."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfseg  # noqa: F401
from tests import warm_child
from tests.hanging import wait_for
from tfseg.data import opening
from tfseg.formats import tflite_file
from tfseg.system import child_process

SEED = 0
COMMAND_SERVER = Path(__file__).with_name("command_server.py")
NUM_TOY_IMAGES = 10


def pytest_configure():
    """Undoes what a shell does to programs in the background: they and their children would ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Runs the tests of training first. They take longest: at the end, one worker would be busy while others idle."""
    items.sort(key=lambda item: item.path.parent.name != "training")


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup():
    """Seeds the random weights that a fixture draws, so that they do not depend on what ran before."""
    _seed()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    """Seeds the random weights that a test draws, so that they do not depend on what ran before."""
    _seed()


def _seed():
    from tensorflow import keras  # must be imported after tfseg

    keras.utils.set_random_seed(SEED)


def write_toy_folder(root):
    """Writes images and masks of 48x64: a bright class left of a dark one, a third in a corner, an ignored border."""
    generator = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index in range(NUM_TOY_IMAGES):
        label = np.zeros([48, 64], np.uint8)
        label[:, int(generator.integers(20, 44)) :] = 1
        label[32:, :16] = 2
        image = np.array([[200, 180, 160], [40, 60, 80], [30, 220, 30]])[label] + generator.integers(0, 30, [48, 64, 3])
        label[:2] = 255
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "images" / f"toy{index}.png")
        Image.fromarray(label).save(root / "masks" / f"toy{index}.png")
    (root / "classes.txt").write_text("bright\ndark\ngreen\n")


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory):
    """The folder in which tests note what they export, instead of the one of whoever runs them."""
    os.environ["TFSEG_HOME"] = str(tmp_path_factory.mktemp("home") / "tfseg")
    yield
    del os.environ["TFSEG_HOME"]


@pytest.fixture(scope="session")
def toy_records(tmp_path_factory):
    """Folder with the TFRecords of 10 toy images with 3 classes: 8 in train, 2 in val. Tests must not change it."""
    root = tmp_path_factory.mktemp("toy")
    write_toy_folder(root / "raw")
    opening.prepare("folder", root / "raw", root / "records")
    return root / "records"


@pytest.fixture(scope="session")
def camvid_dir():
    """The real CamVid folder that TFSEG_CAMVID_DIR names."""
    folder = os.environ.get("TFSEG_CAMVID_DIR")
    if not folder:
        pytest.skip("TFSEG_CAMVID_DIR is not set: no real frames here")
    return folder


class Command:
    """Runs command lines in forks of a process that has imported TensorFlow, in the scratch folder `folder`."""

    def __init__(self, server, folder):
        self._server, self.folder = server, folder

    def __call__(self, *words, kill_after=None):
        """command("train.py", "--steps=0") -> {"code", "out", "err", "seconds", "orphans"}; see `command_server`."""
        return self._run(words, self.folder, kill_after)

    def completed(self, *words, folder=None):
        """Runs a command line in another folder -> subprocess.CompletedProcess."""
        done = self._run(words, folder or self.folder)
        return subprocess.CompletedProcess(words, done["code"], done["out"], done["err"])

    def _run(self, words, folder, kill_after=None):
        job = {"words": [*map(str, words)], "folder": str(folder), "cache": str(self.folder / "cache")}
        job["kill_after"] = kill_after
        print(json.dumps(job), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())


@contextlib.contextmanager
def serving_commands(*address, **environment):
    """Yields a process that runs command lines, and children if it has an address, in forks of itself."""
    with subprocess.Popen(
        [sys.executable, str(COMMAND_SERVER), *address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as server:
        yield server
        server.stdin.close()


@contextlib.contextmanager
def served_commands(folder, **environment):
    """Yields a `Command` with a process and environment variables of its own."""
    with serving_commands(**environment) as server:
        yield Command(server, folder)


@pytest.fixture(scope="session")
def child_address():
    """Address of a socket; a short one, as they must be."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"{folder}/children"


@pytest.fixture(scope="session")
def command_server(child_address):
    """One process for the commands of all modules, and the children of `child_process`."""
    with serving_commands(child_address) as server:
        yield server


@pytest.fixture(scope="session")
def warm_children(command_server, child_address):
    """Makes children of `child_process` start as forks of the command server, in hundredths of a second."""
    wait_for(Path(child_address).exists, command_server)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child_process, "command_of", functools.partial(warm_child.command_of, child_address))
        yield


@pytest.fixture(scope="module")
def command(command_server, tmp_path_factory):
    """The `Command` of a module, with a scratch folder and a cache of its own."""
    return Command(command_server, tmp_path_factory.mktemp("commands"))


@pytest.fixture
def read_tflite(tmp_path):
    """read_tflite(bytes) writes the bytes to a .tflite file and returns the model that is read from it."""

    def written_and_read(content):
        (tmp_path / "model.tflite").write_bytes(content)
        return tflite_file.read(tmp_path / "model.tflite")

    return written_and_read


@pytest.fixture(scope="session")
def save():
    """save(path, array or PIL image, **options of PIL's save) writes a picture and its folders; returns the path."""

    def save_picture(path, pixels, mode=None, **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels), mode)
        image.save(path, **options)
        return path

    return save_picture


@pytest.fixture
def photo():
    """[4, 6, 3] uint8: red on the left, blue on the right."""
    image = np.zeros([4, 6, 3], np.uint8)
    image[:, :3, 0] = 255
    image[:, 3:, 2] = 255
    return image


@pytest.fixture
def label():
    """[4, 6] uint8: 12 pixels of class 0, 8 of class 1, 4 ignored."""
    class_ids = np.zeros([4, 6], np.uint8)
    class_ids[:, 3:5] = 1
    class_ids[:, 5] = 255
    return class_ids

"""Two videos in CamVid's layout, and networks of random weights for them, made once. Read only."""

import numpy as np
import pytest

from tests.data.datasets.test_camvid import write_split
from tests.inference.test_motion import texture
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.config import DataConfig, ExperimentConfig
from tfseg.data import opening
from tfseg.data.datasets import camvid
from tfseg.models.fcn import FCNConfig
from tfseg.models.rnn import RNNConfig
from tfseg.runs.run_directory import save_weights, write_config

LENGTHS = {"A": 9, "B": 4}  # frames


@pytest.fixture(scope="module")
def video_records(tmp_path_factory, save):
    """Records of two videos in CamVid's layout."""
    folder = tmp_path_factory.mktemp("raw")
    names = [f"{video}_{10 * number:05}" for video, count in LENGTHS.items() for number in range(count)]
    write_split(folder, "train", ["C_00000"], save)
    write_split(folder, "val", names, save)
    for index, name in enumerate(names):
        save(folder / "val" / f"{name}.png", texture(32, 48, across=2 * index))
        label = np.zeros([32, 48], np.uint8)
        label[16:] = 3
        save(folder / "valannot" / f"{name}.png", label)
    opening.prepare("camvid", folder, folder / "records")
    return folder / "records"


def run_of(folder, model, records):
    """A run directory of a network with random weights."""
    config = ExperimentConfig(model=model, data=DataConfig(dataset="camvid", data_dir=str(records)))
    write_config(folder, config, camvid.INFO)
    save_weights(folder / "weights" / "last.npz", architectures.build(model, camvid.INFO.num_classes))
    return folder


@pytest.fixture(scope="module")
def video_runs(tmp_path_factory, video_records):
    folder = tmp_path_factory.mktemp("runs")
    recurrent = RNNConfig(tiny(), iterations=3, widths=(8, 4), canvas_stride=8)
    return run_of(folder / "rnn", recurrent, video_records), run_of(folder / "plain", FCNConfig(tiny()), video_records)

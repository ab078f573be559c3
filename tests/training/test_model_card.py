"""What the model card says of the protocol beyond the figures, which test_publish compares."""

import pytest

from tfseg.config import DataConfig, ExperimentConfig
from tfseg.data import scenes
from tfseg.models.rnn import RNNConfig
from tfseg.training.model_card import model_card

PROTOCOL = {
    "dataset": "scenes",
    "split": "test",
    "num_images": 100,
    "filenames_sha256": "0",
    "image_sizes": ["128x192"],
    "network_size": "the image's",
    "scales": [1.0],
    "flip": False,
    "prediction": "argmax",
    "ignored_label": 255,
    "mean": "over classes",
    "cost_size": [128, 192],
    "device": "2 CPU cores",
    "weights_sha256": "0",
    "tensorflow": "2.15.1",
    "commit": None,
}
ENTRY = {"iteration": 1, "miou": 0.5, "gmacs": 1.0, "gflops": 2.0, "milliseconds": 3.0}
FACTS = {"steps": 1, "images": 2, "hours": None, "parameters": 3, "weights_sha256": "0"}


def card(**protocol):
    metrics = {"protocol": PROTOCOL | protocol, "iterations": [ENTRY], "trained_iterations": 1, "remarks": []}
    config = ExperimentConfig(RNNConfig(), DataConfig(dataset="scenes"))
    return model_card("toy", config, scenes.INFO, metrics, FACTS, "| tables |")


@pytest.mark.parametrize(
    "sizes,source",
    [("averages over the split", "averages over the split"), ({"car": 12.5}, "averages are those the data set fixes")],
)
def test_the_source_of_average_instance_sizes_is_told(sizes, source):
    expected = f"- iIoU: a pixel of an instance weighs average size of its class / size of the instance ({source})\n"
    assert expected in card(instance_sizes=sizes)


def test_without_instances_there_is_no_word_of_them():
    assert "iIoU" not in card()

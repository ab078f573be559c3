"""A small arch2_video whose weights are random, so that deformable convolutions read at real offsets; and its run."""

import dataclasses

from tests.backbones.random_weights import randomize
from tests.tiny_backbone import tiny
from tests.training.toy_run import toy_config
from tfseg import architectures
from tfseg.data import opening
from tfseg.models.arch2_video import Arch2VideoConfig
from tfseg.runs.run_directory import save_weights, write_config

DEFORMABLE = "cell1_like"
# An affine and a predictive aggregation; reads neither the decoded map of the frame before nor that of stride 8.
AGGREGATIONS = "3 4 0 2 3  5 0 4 1 2"
SIZE = (48, 80)
NUM_CLASSES = 3  # as the toy records have


def network_of(genotype):
    """An arch2_video for images of the toy records."""
    network = architectures.build(Arch2VideoConfig(tiny(32), width=4, genotype=genotype), NUM_CLASSES)
    randomize(network)
    # More than one class appears.
    for classifier in (network.classifier, network.cell_classifier):
        classifier.kernel.assign(8 * classifier.kernel)
    return network


def write_run(folder, network, records):
    """Writes a run directory; returns its path."""
    config = toy_config(records, {"data": {"crop_size": SIZE}})
    _, facts = opening.open_dataset("folder", str(records))
    write_config(folder, dataclasses.replace(config, model=network.config), facts.info)
    save_weights(folder / "weights" / "last.npz", network)
    return folder

"""Run by test_evaluation in a process of its own: twelve megapixels, 21 classes, six iterations, little memory.

The logits of one iteration at full resolution are 1.0 GB, those of all six 6.0 GB. Once the network is ready, the
process may take 1.5 GB more.
"""

import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.evaluation.semantic import evaluate
from tfseg.labels import DatasetInfo, default_colors
from tfseg.models.rnn import RNNConfig

INFO = DatasetInfo("toy", tuple(f"class {index}" for index in range(21)), default_colors(21))
ALLOWANCE = 1_500_000_000


def batch_of(height, width):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, [1, height // 20, width // 20, 3], np.uint8).repeat(20, 1).repeat(20, 2)
    label = rng.integers(0, 21, [1, height, width], np.int32)
    return {"image": image, "label": label, "filename": np.array([b"large"])}


backbone = BackboneConfig("mobilenet_v2", output_stride=16, width_multiplier=0.35)
network = architectures.build(RNNConfig(backbone, widths=(16, 16)), 21)
evaluate(network, [batch_of(40, 40)], INFO, 6, num_examples=1)
in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + ALLOWANCE, in_use + ALLOWANCE))
result = evaluate(network, [batch_of(3000, 4000)], INFO, 6, num_examples=1)
assert np.sum(result["iterations"][5]["confusion"]) == 3000 * 4000

"""Random weights and images that make differences between backbones visible."""

import numpy as np


def randomize(layer, seed=0):
    """Sets random weights that keep activations near 1 and batch statistics far from (0, 1)."""
    random = np.random.default_rng(seed)
    for weight in layer.weights:
        name, shape = weight.name, weight.shape
        if name.endswith(("gamma:0", "variance:0")):
            weight.assign(random.uniform(0.5, 1.5, shape))
        elif name.endswith(("beta:0", "mean:0", "bias:0")):
            weight.assign(random.normal(0, 0.2, shape))
        else:
            fan_in = np.prod(shape[:2] if "depthwise" in name else shape[:-1])
            weight.assign(random.normal(0, fan_in**-0.5, shape))


def images(*size):
    return np.random.default_rng(1).uniform(0, 255, (1, *size, 3)).astype(np.float32)

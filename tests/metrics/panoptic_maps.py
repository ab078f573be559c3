"""Small panoptic maps for tests of several metrics: values are class id * 1000 + instance id, V is void."""

import numpy as np

from tfseg.labels import DatasetInfo, default_colors

V = 255_000
INFO = DatasetInfo("toy", ("wall", "cat", "lawn"), default_colors(3), thing_ids=frozenset({1}))

# Stuff 0 and 2, two cats, and a void border on the right.
LABEL = np.array([[0] * 6, [0, 1001, 1001, 1002, 1002, V], [0, 1001, 1001, 1002, 1002, V], [2000] * 5 + [V]])
PREDICTION = np.array(
    [[0] * 6, [0, 1001, 1001, 1001, 1002, 1002], [0, 1001, 1001, 1002, 1002, 1002], [2000] * 4 + [0, 0]]
)


def one_class(num_things=1):
    """Labels of a single class, a thing or stuff."""
    return DatasetInfo("one", ("cell",), default_colors(1), thing_ids=frozenset(range(num_things)))


def updated(metric, *images):
    """Returns the metric after it was updated with these (label, prediction) pairs."""
    for label, prediction in images:
        metric.update(np.array(label), np.array(prediction))
    return metric


def random_maps(generator, size=(40, 56), num_instances=12):
    """Draws (label, prediction) for INFO: rough blocks with void, a crowd of cats and instances that partly agree."""
    height, width = size
    ids = np.array([0, 2000, V, 1000, *range(1001, 1001 + num_instances)])
    blocks = generator.choice(ids, [height // 8, width // 8])
    label = np.kron(blocks, np.ones([8, 8], int))
    prediction = np.roll(label, generator.integers(-3, 4, 2), (0, 1))
    noise = generator.random(size) < 0.05
    prediction[noise] = generator.choice(ids, noise.sum())
    swapped = generator.choice(ids, 2)
    return label, np.where(prediction == swapped[0], swapped[1], prediction)

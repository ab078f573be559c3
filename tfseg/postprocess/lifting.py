"""Enlarges labels and class ids of cells to pixels.

Cell (i, j) sits on pixel (stride * i, stride * j). The pixels from one cell up to the next, downwards and to the right,
are its block; they all lie between the same four cells. If these agree, so do all pixels of the block: only blocks
along borders cost time.
"""

import functools

import cv2
import numpy as np

# Number of pixel logits computed at a time: 8 MB.
LOGITS_AT_ONCE = 2**21
NO_CORNER = 4  # index of the column after the four corners, which holds label 0


def corner_values(cells) -> np.ndarray:
    """Returns [4, h, w] values of [h, w] cells and their neighbours right, below, below right; borders are repeated."""
    padded = np.pad(cells, ((0, 1), (0, 1)), mode="edge")
    return np.stack([padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]])


@functools.lru_cache(maxsize=8)
def corner_weights(stride) -> np.ndarray:
    """Returns the [stride * stride, 4] float32 bilinear weights of a block's pixels."""
    fraction = np.arange(stride, dtype=np.float32) / stride
    sides = np.stack([1 - fraction, fraction], axis=1)  # [stride, 2]
    return np.einsum("ya,xb->yxab", sides, sides).reshape(-1, 4)  # [stride, stride, 2, 2] -> [stride * stride, 4]


def spread(cells, stride, blocks, values, size) -> np.ndarray:
    """Fills every block with its cell's value, but the [n] `blocks` with [n, stride * stride] `values`.

    Returns [height, width] pixels.
    """
    height, width = cells.shape
    pixels = np.empty([height, stride, width, stride], cells.dtype)
    pixels[:] = cells[:, np.newaxis, :, np.newaxis]
    rows, columns = np.divmod(blocks, width)
    pixels[rows, :, columns] = values.reshape(-1, stride, stride)  # [n, stride, stride]
    # [h, stride, w, stride] -> [h * stride, w * stride] -> [*size]
    return np.ascontiguousarray(pixels.reshape(height * stride, width * stride)[: size[0], : size[1]])


def lift_class_ids(logits, stride, size) -> np.ndarray:
    """Returns [height, width] uint8 class ids of [h, w, C] logits enlarged bilinearly, but enlarges only a few of them.

    A class with the largest logit in all four cells around a pixel also has it in the pixel. If several logits are
    equal, the first counts.
    """
    cells = logits.argmax(axis=-1).astype(np.uint8)
    corners = corner_values(cells)
    mixed = np.flatnonzero((corners != corners[0]).any(axis=0))
    height, width, num_classes = logits.shape
    flat, weights = logits.reshape(-1, num_classes), corner_weights(stride)  # [h * w, C], [stride * stride, 4]
    index = corner_values(np.arange(height * width).reshape(height, width)).reshape(4, -1)  # [4, h * w]
    class_ids = np.empty([len(mixed), stride * stride], np.uint8)
    step = max(1, LOGITS_AT_ONCE // (stride * stride * num_classes))
    for first in range(0, len(mixed), step):
        chunk = slice(first, first + step)
        around = flat[index[:, mixed[chunk]].T]  # [chunk, 4, C]
        class_ids[chunk] = (weights @ around).argmax(axis=-1)  # [chunk, stride * stride, C] -> [chunk, stride * stride]
    return spread(cells, stride, mixed, class_ids, size)


def repeat_class_ids(cells, stride, size) -> np.ndarray:
    """Returns [height, width] class ids of the nearest cell; halfway between two, the upper or left one counts."""
    rows, columns = (
        np.minimum((np.arange(side) + (stride - 1) // 2) // stride, num_cells - 1)
        for side, num_cells in zip(size, cells.shape, strict=True)
    )
    return cells[np.ix_(rows, columns)]


def lift_labels(cells, stride, size, cell_classes=None, class_ids=None) -> np.ndarray:
    """Returns [height, width] labels: the label with the largest bilinear weight among a pixel's four cells.

    Enlarging the offsets instead would be wrong: between two instances they would point at neither.

    Args:
      cells: [h, w] integer labels; 0 means no label and never wins. A pixel without a labelled cell around it gets 0.
      stride: pixels per cell.
      size: (height, width).
      cell_classes, class_ids: [h, w] and [height, width] uint8 classes. If given, labelled cells of a pixel's own class
        win over the others: the semantic map is more exact at a border between two classes.
    """
    corners = corner_values(cells)  # [4, h, w]
    mixed = np.flatnonzero((corners != corners[0]).any(axis=0))  # [n] blocks whose corners differ
    around = np.zeros([len(mixed), NO_CORNER + 1], cells.dtype)
    around[:, :NO_CORNER] = corners.reshape(4, -1)[:, mixed].T  # [n, 4]
    winners = _winners(stride).take(_patterns(around[:, :NO_CORNER]), axis=0)  # [n, stride * stride]
    labels = np.take_along_axis(around, winners, axis=1)  # [n, stride * stride]
    if class_ids is not None:
        classes = corner_values(cell_classes).reshape(4, -1)[:, mixed].T  # [n, 4]
        # Blocks whose labelled cells are all of one class, or that have no labelled cell, do not change.
        is_labelled = around[:, :NO_CORNER] != 0
        lowest, highest = np.where(is_labelled, classes, 255).min(axis=1), np.where(is_labelled, classes, 0).max(axis=1)
        several = np.flatnonzero(lowest < highest)
        own = _pixels_of_blocks(class_ids, mixed[several], cells.shape[1], stride)  # [m, stride * stride]
        # [m, stride * stride, 4]
        votes = (classes[several][:, np.newaxis] == own[..., np.newaxis]) & is_labelled[several][:, np.newaxis]
        labels[several] = _elected(around[several, :NO_CORNER], votes, stride, labels[several])
    return spread(cells, stride, mixed, labels, size)


def _pixels_of_blocks(pixels, blocks, num_columns, stride):
    """Returns [n, stride * stride] values of the pixels of blocks; pixels beyond the border repeat the last ones."""
    (top, left), inside = np.divmod(blocks, num_columns), np.arange(stride)
    rows, columns = (
        np.minimum(first[:, np.newaxis] * stride + inside, side - 1)
        for first, side in zip((top, left), pixels.shape, strict=True)
    )
    # [n, stride, stride] -> [n, stride * stride]
    return pixels[rows[:, :, np.newaxis], columns[:, np.newaxis]].reshape(len(blocks), stride * stride)


def _elected(corners, votes, stride, others):
    """Returns the labels with the largest weight among the corners that vote; `others` where no corner votes.

    Args:
      corners: [n, 4] labels.
      votes: [n, stride * stride, 4] bool.
      stride: pixels per cell.
      others: [n, stride * stride] labels.
    """
    is_same = corners[:, :, np.newaxis] == corners[:, np.newaxis]  # [n, 4, 4]
    weights = votes * corner_weights(stride)  # [n, stride * stride, 4]
    shares = np.matmul(weights, is_same.astype(np.float32)) * votes  # [n, stride * stride, 4]
    elected = np.take_along_axis(corners, shares.argmax(axis=-1), axis=1)
    return np.where(shares.max(axis=-1) > 0, elected, others)


def _patterns(corners):
    """Encodes [n, 4] labels in [n] numbers of 10 bits: which of the labels are equal, and which are not 0."""
    bits = [corners[:, one] == corners[:, other] for one in range(4) for other in range(one)]
    bits += [corners[:, one] != 0 for one in range(4)]
    return sum(bit.astype(np.intp) << place for place, bit in enumerate(bits))


@functools.lru_cache(maxsize=8)
def _winners(stride):
    """Returns a [1024, stride * stride] table: for a corner pattern and a pixel, the winning corner or NO_CORNER."""
    examples = np.stack(np.meshgrid(*[np.arange(5)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)  # [625, 4]
    is_same = (examples[:, :, np.newaxis] == examples[:, np.newaxis]) & (examples[:, np.newaxis] != 0)  # [625, 4, 4]
    shares = corner_weights(stride) @ is_same.astype(np.float32)  # [625, stride * stride, 4]
    winners = np.where(shares.max(axis=-1) > 0, shares.argmax(axis=-1), NO_CORNER)
    table = np.full([1024, stride * stride], NO_CORNER, np.intp)
    table[_patterns(examples)] = winners
    return table


def nearest_labels(cells, stride, pixels, width) -> np.ndarray:
    """Returns the [n] labels of the labelled cells nearest to pixels that have no labelled cell around them.

    Each of the four cells around a pixel knows its nearest labelled cell; of these four, the one nearest to the pixel
    is taken.

    Args:
      cells: [h, w] integer labels; 0 means no label. At least one cell must have a label.
      stride: pixels per cell.
      pixels: [n] indices in the flattened image.
      width: width of the image.
    """
    height, num_columns = cells.shape
    _, zones = cv2.distanceTransformWithLabels(
        (cells == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, labelType=cv2.DIST_LABEL_PIXEL
    )
    labelled = np.flatnonzero(cells)
    cell_of_zone = np.zeros(zones.max() + 1, np.intp)
    cell_of_zone[zones.reshape(-1)[labelled]] = labelled
    nearest = corner_values(cell_of_zone[zones]).reshape(4, -1)  # [4, h * w] flat indices of cells
    y, x = np.divmod(pixels, width)
    candidates = nearest[:, (y // stride) * num_columns + x // stride]  # [4, n]
    rows, columns = np.divmod(candidates, num_columns)
    distances = (stride * rows - y) ** 2 + (stride * columns - x) ** 2
    chosen = np.take_along_axis(candidates, distances.argmin(axis=0)[np.newaxis], axis=0)[0]
    return cells.reshape(-1)[chosen]

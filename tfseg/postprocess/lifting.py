"""From cells to pixels.

Cell (i, j) sits on pixel (stride * i, stride * j). The pixels from one cell up to the next, below and to the right, are
its block; each lies between the same four cells. Where these agree, so do all pixels of the block: only the blocks
along borders cost anything.
"""

import functools

import cv2
import numpy as np

# Of the logits of pixels that are made at a time: 8 MB.
LOGITS_AT_ONCE = 2**21
NO_CORNER = 4


def corner_values(cells) -> np.ndarray:
    """[h, w] cells -> [4, h, w]: the cell itself, right, below, below right. The last ones repeat at the border."""
    padded = np.pad(cells, ((0, 1), (0, 1)), mode="edge")
    return np.stack([padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]])


@functools.lru_cache(maxsize=8)
def corner_weights(stride) -> np.ndarray:
    """[stride * stride, 4] bilinear weights of a block's pixels, float32."""
    fraction = np.arange(stride, dtype=np.float32) / stride
    sides = np.stack([1 - fraction, fraction], axis=1)
    return np.einsum("ya,xb->yxab", sides, sides).reshape(-1, 4)


def spread(cells, stride, blocks, values, size) -> np.ndarray:
    """[height, width]: every cell's value in its whole block, but `values` [n, stride * stride] in the blocks [n]."""
    height, width = cells.shape
    pixels = np.empty([height, stride, width, stride], cells.dtype)
    pixels[:] = cells[:, np.newaxis, :, np.newaxis]
    rows, columns = np.divmod(blocks, width)
    pixels[rows, :, columns] = values.reshape(-1, stride, stride)
    return np.ascontiguousarray(pixels.reshape(height * stride, width * stride)[: size[0], : size[1]])


def lift_class_ids(logits, stride, size) -> np.ndarray:
    """[height, width] uint8 class ids of [h, w, C] logits enlarged bilinearly, without enlarging most of them.

    A class that is the largest in all four cells round a pixel is the largest in it. Of equal ones the first counts.
    """
    cells = logits.argmax(axis=-1).astype(np.uint8)
    corners = corner_values(cells)
    mixed = np.flatnonzero((corners != corners[0]).any(axis=0))
    height, width, num_classes = logits.shape
    flat, weights = logits.reshape(-1, num_classes), corner_weights(stride)
    index = corner_values(np.arange(height * width).reshape(height, width)).reshape(4, -1)
    class_ids = np.empty([len(mixed), stride * stride], np.uint8)
    step = max(1, LOGITS_AT_ONCE // (stride * stride * num_classes))
    for first in range(0, len(mixed), step):
        chunk = slice(first, first + step)
        around = flat[index[:, mixed[chunk]].T]
        class_ids[chunk] = (weights @ around).argmax(axis=-1)
    return spread(cells, stride, mixed, class_ids, size)


def repeat_class_ids(cells, stride, size) -> np.ndarray:
    """[height, width] class ids of the nearest cell; halfway the one above, and left."""
    rows, columns = (
        np.minimum((np.arange(side) + (stride - 1) // 2) // stride, num_cells - 1)
        for side, num_cells in zip(size, cells.shape, strict=True)
    )
    return cells[np.ix_(rows, columns)]


def lift_labels(cells, stride, size, cell_classes=None, class_ids=None) -> np.ndarray:
    """[height, width] labels: of those of the four cells round a pixel, the one with the largest bilinear weight.

    Offsets must not be enlarged instead: between two instances they would point at neither.

    Args:
      cells: [h, w] integers, 0 for none, which wins nothing. A pixel with no label round it has 0.
      cell_classes, class_ids: [h, w] and [height, width] uint8 classes. With them the cells of a pixel's own class win
        over the others, where there are some: the semantic map knows a border between two classes better.
    """
    corners = corner_values(cells)
    mixed = np.flatnonzero((corners != corners[0]).any(axis=0))
    around = np.zeros([len(mixed), NO_CORNER + 1], cells.dtype)
    around[:, :NO_CORNER] = corners.reshape(4, -1)[:, mixed].T
    winners = _winners(stride).take(_patterns(around[:, :NO_CORNER]), axis=0)
    labels = np.take_along_axis(around, winners, axis=1)
    if class_ids is not None:
        classes = corner_values(cell_classes).reshape(4, -1)[:, mixed].T
        # Where all labelled cells are of one class, or none is, nothing changes.
        is_labelled = around[:, :NO_CORNER] != 0
        lowest, highest = np.where(is_labelled, classes, 255).min(axis=1), np.where(is_labelled, classes, 0).max(axis=1)
        several = np.flatnonzero(lowest < highest)
        own = _pixels_of_blocks(class_ids, mixed[several], cells.shape[1], stride)
        votes = (classes[several][:, np.newaxis] == own[..., np.newaxis]) & is_labelled[several][:, np.newaxis]
        labels[several] = _elected(around[several, :NO_CORNER], votes, stride, labels[several])
    return spread(cells, stride, mixed, labels, size)


def _pixels_of_blocks(pixels, blocks, num_columns, stride):
    """[n, stride * stride] values of the pixels of blocks; beyond the border those of the last ones."""
    (top, left), inside = np.divmod(blocks, num_columns), np.arange(stride)
    rows, columns = (
        np.minimum(first[:, np.newaxis] * stride + inside, side - 1)
        for first, side in zip((top, left), pixels.shape, strict=True)
    )
    return pixels[rows[:, :, np.newaxis], columns[:, np.newaxis]].reshape(len(blocks), stride * stride)


def _elected(corners, votes, stride, others):
    """Labels with the largest weight of the corners that vote; `others` where none does.

    Args:
      corners: [n, 4] labels.
      votes: [n, stride * stride, 4] bool.
      others: [n, stride * stride] labels.
    """
    is_same = corners[:, :, np.newaxis] == corners[:, np.newaxis]
    weights = votes * corner_weights(stride)
    shares = np.matmul(weights, is_same.astype(np.float32)) * votes
    elected = np.take_along_axis(corners, shares.argmax(axis=-1), axis=1)
    return np.where(shares.max(axis=-1) > 0, elected, others)


def _patterns(corners):
    """[n, 4] labels -> [n] which of them are equal, and which are labels, as 10 bits."""
    bits = [corners[:, one] == corners[:, other] for one in range(4) for other in range(one)]
    bits += [corners[:, one] != 0 for one in range(4)]
    return sum(bit.astype(np.intp) << place for place, bit in enumerate(bits))


@functools.lru_cache(maxsize=8)
def _winners(stride):
    """[1024, stride * stride]: pattern of a block's corners, pixel -> the corner whose label wins, or NO_CORNER."""
    examples = np.stack(np.meshgrid(*[np.arange(5)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    is_same = (examples[:, :, np.newaxis] == examples[:, np.newaxis]) & (examples[:, np.newaxis] != 0)
    shares = corner_weights(stride) @ is_same.astype(np.float32)
    winners = np.where(shares.max(axis=-1) > 0, shares.argmax(axis=-1), NO_CORNER)
    table = np.full([1024, stride * stride], NO_CORNER, np.intp)
    table[_patterns(examples)] = winners
    return table


def nearest_labels(cells, stride, pixels, width) -> np.ndarray:
    """[n] labels of the labelled cells nearest to pixels, for pixels with no label round them.

    Of each of the four cells round a pixel the nearest labelled cell is known; the nearest of these is taken.

    Args:
      cells: [h, w] integers, 0 for none, but some.
      pixels: [n] indices in the flattened image; width: of the image.
    """
    height, num_columns = cells.shape
    _, zones = cv2.distanceTransformWithLabels(
        (cells == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, labelType=cv2.DIST_LABEL_PIXEL
    )
    labelled = np.flatnonzero(cells)
    cell_of_zone = np.zeros(zones.max() + 1, np.intp)
    cell_of_zone[zones.reshape(-1)[labelled]] = labelled
    nearest = corner_values(cell_of_zone[zones]).reshape(4, -1)
    y, x = np.divmod(pixels, width)
    candidates = nearest[:, (y // stride) * num_columns + x // stride]
    rows, columns = np.divmod(candidates, num_columns)
    distances = (stride * rows - y) ** 2 + (stride * columns - x) ** 2
    chosen = np.take_along_axis(candidates, distances.argmin(axis=0)[np.newaxis], axis=0)[0]
    return cells.reshape(-1)[chosen]

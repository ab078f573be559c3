"""Colours that eyes tell apart, measured in CIELAB, where equal distances look about equally large.

CIE 015:2018, section 8.2.1, with sRGB's primaries and white point D65 (IEC 61966-2-1).
"""

import functools

import numpy as np

TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
FROM_XYZ = np.linalg.inv(TO_XYZ)
WHITE = TO_XYZ.sum(axis=1)
EPSILON, KAPPA = 216 / 24389, 24389 / 27
# Colours of classes: neither so dark nor so light that they vanish in shadows or on paper, and none greyish.
DARKEST, LIGHTEST, LEAST_CHROMA = 45, 88, 30
# Colours that have a meaning of their own: paper, grey for the background, and the yellow of what is not labelled.
TAKEN = ((255, 255, 255), (190, 190, 190), (224, 224, 192))
FIRST = (230, 60, 70)
LEVELS = 18  # of each of red, green and blue, among which colours are looked for


def to_lab(colors) -> np.ndarray:
    """Converts [..., 3] RGB, 0 to 255, to [..., 3] CIELAB: lightness 0 to 100, then green-red and blue-yellow."""
    shares = np.asarray(colors, np.float64) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T / WHITE
    x, y, z = np.moveaxis(np.where(xyz > EPSILON, np.cbrt(xyz), (KAPPA * xyz + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def from_lab(lab) -> np.ndarray:
    """Converts [..., 3] CIELAB to [..., 3] uint8 RGB; what a screen cannot show becomes the nearest in each channel."""
    lightness, green_red, blue_yellow = np.moveaxis(np.asarray(lab, np.float64), -1, 0)
    y = (lightness + 16) / 116
    roots = np.stack([y + green_red / 500, y, y - blue_yellow / 200], axis=-1)
    xyz = np.where(roots**3 > EPSILON, roots**3, (116 * roots - 16) / KAPPA) * WHITE
    linear = np.clip(xyz @ FROM_XYZ.T, 0, 1)
    shares = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * shares).astype(np.uint8)


@functools.cache
def distinct_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """Returns `count` RGB colours, each as far from those before it in CIELAB as any that is left.

    They are the same on every machine, and the first n are the same for any count. None is dark, pale or grey. The
    smallest distance between two of them is 40 for 12 colours, 27 for 30; below 5 eyes confuse them side by side.
    """
    levels = np.rint(np.linspace(0, 255, LEVELS)).astype(int)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = to_lab(candidates)
    is_clear = (lab[:, 0] >= DARKEST) & (lab[:, 0] <= LIGHTEST) & (np.hypot(lab[:, 1], lab[:, 2]) >= LEAST_CHROMA)
    candidates, lab = candidates[is_clear], lab[is_clear]
    colors = [FIRST]
    distances = np.min([_distances(lab, color) for color in (*TAKEN, FIRST)], axis=0)
    while len(colors) < count:
        best = int(distances.argmax())
        colors.append(tuple(candidates[best].tolist()))
        distances = np.minimum(distances, _distances(lab, colors[-1]))
    return tuple(colors[:count])


def _distances(lab, color):
    # Rounded, so that no machine's last bit decides between two candidates.
    return np.round(np.linalg.norm(lab - to_lab(color), axis=-1), 6)

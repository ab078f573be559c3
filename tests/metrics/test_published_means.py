"""The mean of IoU by class, on a table of Cityscapes' test set as a paper prints it."""

import pytest

from tfseg.data.datasets import cityscapes
from tfseg.metrics.metric import with_mean

# From ShelfNet's paper (Zhuang et al. 2018, arXiv:1811.11254), which cites the other methods: mIoU, and IoU of the 19
# classes in the order of their train ids, in percent. A + is for coarse labels, (ss) for a single scale.
PRINTED = """
CRF-RNN: 62.5: 96.3 73.9 88.2 47.6 41.3 35.2 49.5 59.7 90.6 66.1 93.5 70.4 34.7 90.1 39.2 57.5 55.4 43.9 54.6
FCN: 65.3: 97.4 78.4 89.2 34.9 44.2 47.4 60.1 65 91.4 69.3 93.9 77.1 51.4 92.6 35.3 48.6 46.5 51.6 66.8
SiCNN+CRF: 66.3: 96.3 76.8 88.8 40 45.4 50.1 63.3 69.6 90.6 67.1 92.2 77.6 55.9 90.1 39.2 51.3 44.4 54.4 66.1
DPN: 66.8: 97.5 78.5 89.5 40.4 45.9 51.1 56.8 65.3 91.5 69.4 94.5 77.5 54.2 92.5 44.5 53.4 49.9 52.1 64.8
Dilation10: 67.1: 97.6 79.2 89.9 37.3 47.6 53.2 58.6 65.2 91.8 69.4 93.7 78.9 55 93.3 45.5 53.4 47.7 52.2 66
LRR: 69.7: 97.7 79.9 90.7 44.4 48.6 58.6 68.2 72 92.5 69.3 94.7 81.6 60 94 43.6 56.8 47.2 54.8 69.7
DeepLab: 70.4: 97.9 81.3 90.3 48.8 47.4 49.6 57.9 67.3 91.9 69.4 94.2 79.8 59.8 93.7 56.5 67.5 57.5 57.7 68.8
Piecewise: 71.6: 98 82.6 90.6 44 50.7 51.1 65 71.7 92 72 94.1 81.5 61.1 94.3 61.1 65.1 53.8 61.6 70.6
PSPNet: 78.4: 98.6 86.2 92.9 50.8 58.8 64 75.6 79 93.4 72.3 95.4 86.5 71.3 95.9 68.2 79.5 73.8 69.5 77.2
PSPNet+: 80.2: 98.6 86.6 93.2 58.1 63 64.5 75.2 79.2 93.4 72.1 95.1 86.3 71.4 96 73.5 90.4 80.3 69.9 76.9
ShelfNet50: 72.4: 98.1 82.4 91.4 46.8 52.2 58.3 68.8 74.0 92.9 69.6 95.0 82.4 60.7 94.8 53.6 65.3 56.23 60.3 72.2
ShelfNet50 (ss): 71.2: 98.1 81.9 91.2 45.9 50.7 57.5 67.6 73.0 92.7 68.7 94.8 80.5 56.9 94.5 50.6 64.2 54.0 58.8 70.6
ShelfNet101: 74.4: 98.5 85.3 91.7 49.7 55.2 62.9 72.5 77.6 93.3 72.0 94.7 85.7 69.4 95.1 53.9 61.7 52.6 67.1 74.6
ShelfNet50+ (ss): 74.8: 98.4 84.5 92.2 46.4 58.4 62.4 71.9 76.3 93.2 71.1 95.2 84.2 66.1 95.3 57.4 71.6 57.7 65.1 74.4
ShelfNet50+: 75.8: 98.5 85.2 92.5 46.9 59.9 63.9 73.6 77.8 93.4 72.4 95.4 85.4 67.9 95.6 58.5 72.0 58.9 67.2 75.9
"""


@pytest.mark.parametrize("row", PRINTED.strip().splitlines(), ids=lambda row: row.partition(":")[0])
def test_the_mean_is_the_printed_one(row):
    _, mean, printed = row.split(": ")
    names = cityscapes.INFO.class_names
    result = with_mean("iou", names, [float(value) / 100 for value in printed.split()])
    assert list(result["iou"]) == list(names)
    assert 100 * result["mean_iou"] == pytest.approx(float(mean), abs=0.05)

"""How steady the predictions of a video are, beside how right they are.

Pixels whose label does not change from frame to frame should not change their class either:

- temporal consistency (TC): of all pixels of two consecutive frames that keep their label, the share that keeps its
  predicted class;
- video consistency VC_n (Miao et al., "VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild"): of the pixels
  that have one label throughout n consecutive frames, the share that also has one predicted class throughout them;
  averaged over all such windows of a sequence, then over the sequences.

A steady mistake is consistent, so these scores mean little without the mIoU.
"""

import collections

import numpy as np

from tfseg.metrics import confusion

WINDOWS = (8, 16)  # frames, of VC_8 and VC_16


class VideoScores:
    """Counts the frames of videos, which have to come in order.

    Example:
      scores = VideoScores(num_classes=11, ignore_label=255)
      for label, prediction in frames:
          scores.update(label, prediction, sequence="street 1", is_seeded=False)
      scores.result()["temporal_consistency"]

    Args:
      num_classes: number of classes.
      ignore_label: class id of pixels without a label, which do not count.
      windows: numbers of frames n for which VC_n is computed.
    """

    def __init__(self, num_classes: int, ignore_label: int, windows=WINDOWS):
        self._num_classes, self._ignore_label, self._windows = num_classes, ignore_label, windows
        self._confusion = np.zeros([2, num_classes, num_classes], np.int64)  # frames that start afresh, and the others
        self._kept, self._same = 0, 0
        self._sequence, self._recent = None, collections.deque(maxlen=max(windows))
        self._of_sequence = {n: [] for n in windows}
        self._by_sequence = {n: [] for n in windows}

    def update(self, label, prediction, sequence, is_seeded: bool):
        """Counts the next frame.

        Args:
          label: [height, width] class ids.
          prediction: [height, width] class ids, 0 to num_classes - 1.
          sequence: the video's name; another one than before begins a new video.
          is_seeded: whether the frame started from the one before.
        Raises:
          InputError: a label is neither a class id nor the ignore label.
        """
        if sequence != self._sequence or (self._recent and self._recent[-1][0].shape != label.shape):
            self._end_sequence()
            self._sequence = sequence
        counts = confusion.confusion_matrix(label, prediction, self._num_classes, self._ignore_label)
        self._confusion[int(is_seeded)] += counts
        self._recent.append((np.asarray(label), np.asarray(prediction)))
        if len(self._recent) > 1:
            is_kept, is_same = self._steady(2)
            self._kept += np.count_nonzero(is_kept)
            self._same += np.count_nonzero(is_kept & is_same)
        for n in self._windows:
            if len(self._recent) >= n:
                is_kept, is_same = self._steady(n)
                if is_kept.any():
                    self._of_sequence[n].append(np.count_nonzero(is_kept & is_same) / np.count_nonzero(is_kept))

    def result(self) -> dict:
        """Returns the scores, shares from 0 to 1; None where nothing defines them.

        Returns:
          "miou" of all frames, "seeded_miou" of those that started from the one before, "temporal_consistency", and
          "vc<n>" for each window.
        """
        self._end_sequence()
        afresh, seeded = self._confusion
        return {
            "miou": _mean_iou(afresh + seeded),
            "seeded_miou": _mean_iou(seeded),
            "temporal_consistency": self._same / self._kept if self._kept else None,
        } | {f"vc{n}": float(np.mean(shares)) if shares else None for n, shares in self._by_sequence.items()}

    def _steady(self, n):
        """Where the last n frames have one label that counts, and where they have one prediction: two masks."""
        frames = list(self._recent)[-n:]
        first_label, first_prediction = frames[0]
        is_kept = first_label != self._ignore_label
        is_same = np.ones(first_label.shape, bool)
        for label, prediction in frames[1:]:
            is_kept &= label == first_label
            is_same &= prediction == first_prediction
        return is_kept, is_same

    def _end_sequence(self):
        for n, shares in self._of_sequence.items():
            if shares:
                self._by_sequence[n].append(float(np.mean(shares)))
            shares.clear()
        self._recent.clear()


def _mean_iou(matrix):
    return confusion.mean_iou(matrix)[0] if matrix.any() else None

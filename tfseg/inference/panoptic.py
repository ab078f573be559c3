"""Runs a panoptic network on images of any size, which gives class maps and instances."""

import numpy as np
import tensorflow as tf

from tfseg.inference.runner import Inference
from tfseg.inference.views import SINGLE_VIEW, View
from tfseg.labels import DatasetInfo
from tfseg.models.segmenter import Segmenter
from tfseg.postprocess import instance_maps
from tfseg.postprocess.fusion import fuse
from tfseg.postprocess.fusion_config import FusionConfig
from tfseg.postprocess.instance_maps import InstanceMaps
from tfseg.postprocess.resizing import resized


class PanopticInference:
    """Runs a panoptic network and the fusion of its maps.

    Args:
      network: a `Segmenter` with `fusion_settings`.
      info: what its class ids mean.
      view: the form in which the network sees images. It may have another size, but must not be mirrored.

    Attributes:
      info: what the class ids mean.
      fusion: the FusionConfig that turns the maps into instances.
    """

    def __init__(self, network: Segmenter, info: DatasetInfo, view: View = SINGLE_VIEW[0]):
        if view.is_flipped:
            raise ValueError("offsets of mirrored images are not those of the images")
        self.info, self._view, self._num_classes = info, view, network.num_classes
        self._stride = network.canvas_stride
        self.fusion = FusionConfig.of_network(**network.fusion_settings)
        self._inference = Inference(network, read=stacked_maps)

    def predict(self, image):
        """Predicts the panoptic ids and instances of one image.

        Args:
          image: [height, width, 3] RGB, 0 to 255.
        Returns:
          `tfseg.postprocess.fusion.PanopticPrediction` in the image's size; keypoints are in the image's pixels.
        """
        semantic, maps = self.maps(image)
        size = self.network_size(image)
        prediction = fuse(semantic, maps, self.info.thing_ids, self.info.label_divisor, size, self.fusion)
        return resized(prediction, image.shape[:2])

    def network_size(self, image):
        """Returns (height, width) in which the network sees an image."""
        return self._view.size(image.shape[:2])

    def maps(self, image):
        """Returns ([h, w, num_classes] semantic logits, `InstanceMaps`), where h = ceil(view's height / stride)."""
        [answer] = self._inference.refine([image], 1, (self._view,), last_only=True)
        size = self.network_size(image)
        stacked = answer.canvas()[: -(-size[0] // self._stride), : -(-size[1] // self._stride)]
        counts = [self._num_classes, *instance_maps.num_channels(self.fusion.keypoint_graph).values()]
        semantic, *others = np.split(stacked, np.cumsum(counts)[:-1], axis=-1)  # [h, w, count] for each of `counts`
        return semantic, InstanceMaps(**dict(zip(instance_maps.NAMES, others, strict=True)), stride=self._stride)


def stacked_maps(state):
    """Returns [batch, h, w, channels]: a state's canvas, followed by its instance maps in the order of NAMES."""
    return tf.concat([state[name] for name in ("canvas", *instance_maps.NAMES)], -1)  # [b, h, w, sum of channels]

"""A Keras network as an engine."""

from tfseg.inference.panoptic import PanopticInference
from tfseg.inference.runner import Inference


class NetworkEngine:
    """Runs a network on images of any size, large ones in overlapping tiles. See `engine.py` for the interface."""

    min_iterations, has_every_iteration, size, serve, encode = 1, True, None, None, None

    def __init__(self, network, info, path="this model"):
        self.path, self.info = str(path), info
        self.is_recurrent, self.default_iterations = network.is_recurrent, network.default_iterations
        self.max_iterations, self.trained_iterations = None if network.is_recurrent else 1, network.trained_iterations
        self._inference, self.segmenter = Inference(network), network
        self.state_channels = {name: spec.shape[-1] for name, spec in network.state_spec().items()}
        self.carry = network.carry if self.state_channels else None
        self.answer_until = self._inference.refine_until if network.is_recurrent or self.carry else None
        self.panoptic = PanopticInference(network, info).predict if network.is_panoptic else None

    def answer(self, image, iterations, last_only):
        [answer] = self._inference.refine([image], iterations, last_only=last_only)
        return answer

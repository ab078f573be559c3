"""A model as the flags of a command name it, to be loaded here or in other processes."""

import dataclasses

# Operations at once. Each of their threads keeps what oneDNN made for the last image sizes, about 0.1 GB; TensorFlow
# would start one a core.
MOST_AT_ONCE = 2


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """Arguments of `Predictor.load`.

    Attributes:
      path, weights, trust, mean, std, sha256: see there.
      threads: threads of one operation; 0 is one a core, of a .tflite file 1.
    """

    path: str
    weights: str = "last"
    trust: bool = False
    threads: int = 0
    mean: list[float] | None = None
    std: list[float] | None = None
    sha256: str | None = None

    def load(self):
        """Loads the model as a `Predictor`, in a process that has not used TensorFlow yet; see `Predictor.load`."""
        import tensorflow as tf

        from tfseg.inference.predictor import Predictor

        tf.config.threading.set_inter_op_parallelism_threads(MOST_AT_ONCE)
        if self.threads:
            tf.config.threading.set_intra_op_parallelism_threads(self.threads)
        threads = self.threads or 1
        return Predictor.load(self.path, self.weights, self.trust, threads, self.mean, self.std, sha256=self.sha256)

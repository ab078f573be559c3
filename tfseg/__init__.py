"""tfseg: segmentation networks for every compute budget, in TensorFlow 2 / Keras."""

import os
import warnings

# TensorFlow writes its start-up noise before any flag of its own can stop it; both must be set before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
warnings.filterwarnings("ignore", message=r"\s*TensorFlow Addons", category=UserWarning)

__version__ = "0.1.0"


def load(path, **options):
    """Loads a trained model from a run directory, a model zoo folder or an export.

    Example:
      model = tfseg.load("runs/photos")
      prediction = model.predict("photo.jpg", iters=3)
      prediction.class_ids  # [height, width] uint8

    Args:
      path: see `Predictor.load`, which also says what it raises.
      options: the other arguments of `Predictor.load`.
    Returns:
      The model as a `tfseg.inference.predictor.Predictor`.
    """
    from tfseg.inference.predictor import Predictor  # TensorFlow is slow to import; `import tfseg` is not

    return Predictor.load(path, **options)

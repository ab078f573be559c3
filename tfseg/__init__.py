"""tfseg: segmentation networks for every compute budget, in TensorFlow 2 / Keras."""

import importlib.metadata
import os
import sys
import warnings

# TensorFlow writes its start-up noise before any flag of its own can stop it; both must be set before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
warnings.filterwarnings("ignore", message=r"\s*TensorFlow Addons", category=UserWarning)
# It advises ai-edge-litert, which is used where it is installed.
warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated", category=UserWarning)


def _choose_keras_2():
    """Makes `tensorflow.keras` Keras 2 where TensorFlow would take Keras 3: the package tf-keras.

    Raises:
      ImportError: Keras 3 is in use already.
    """
    try:
        is_3 = int(importlib.metadata.version("keras").partition(".")[0]) >= 3
    except importlib.metadata.PackageNotFoundError:
        is_3 = False
    if not is_3:
        return
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    # Of Keras 2 as tf-keras, TensorFlow shows no version.
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow and hasattr(tensorflow.keras, "__version__"):
        raise ImportError("tfseg needs Keras 2: import tfseg before tensorflow, or set TF_USE_LEGACY_KERAS=1")


_choose_keras_2()

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

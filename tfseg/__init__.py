"""tfseg: segmentation networks for every compute budget, in TensorFlow 2 / Keras."""

import os
import warnings

# TensorFlow writes its start-up noise before any flag of its own can stop it; both must be set before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
warnings.filterwarnings("ignore", message=r"\s*TensorFlow Addons", category=UserWarning)

__version__ = "0.1.0"


def load(path, **options):
    """A trained model from a run directory, a model zoo folder or an export; see `Predictor.load`."""
    from tfseg.inference.predictor import Predictor  # TensorFlow is slow to import; `import tfseg` is not

    return Predictor.load(path, **options)

"""Records what the scores of a report depend on besides the model: data, sizes, views, weights, device, commit."""

import os
import subprocess
from pathlib import Path

import tensorflow as tf

from tfseg.runs.run_directory import weights_file
from tfseg.system.files import file_sha256

PREDICTION = "argmax of the logits after bilinear upsampling ({grid}) to the label's size"
GRIDS = {"same": "half-pixel centres", "symmetric": "position i on pixel stride * i"}


def cost_size(result):
    """(height, width) that most images have; `result` is that of `semantic.evaluate`."""
    return tuple(int(side) for side in next(iter(result["sizes"])).split("x"))


def protocol(workdir, config, padding, split, options, result):
    """Everything that the scores depend on besides the model itself, in JSON types."""
    weights = weights_file(workdir, options.weights)
    gpus = len(tf.config.list_physical_devices("GPU"))
    sizes = list(result["sizes"])
    return {
        "model": config.to_dict()["model"],
        "dataset": config.data.dataset,
        "split": split,
        "num_images": result["num_images"],
        "filenames_sha256": result["filenames_sha256"],
        "image_sizes": sizes if len(sizes) <= 5 else f"{len(sizes)} sizes, mostly {sizes[0]}",
        "network_size": list(options.size) if options.size else "the image's",
        "scales": sorted({view.scale for view in options.views}),
        "flip": options.flip,
        "prediction": PREDICTION.format(grid=GRIDS[padding]),
        "ignored_label": 255,
        "mean": "over the classes that occur in labels or predictions",
        "cost_size": list(cost_size(result)),
        "device": f"{gpus} GPUs" if gpus else f"{len(os.sched_getaffinity(0))} CPU cores",
        "weights": str(weights.relative_to(workdir)),
        "weights_sha256": file_sha256(weights),
        "tensorflow": tf.__version__,
        "commit": _commit(),
    }


def instance_protocol(info, result):
    """What instance-level IoU depends on; empty if the result has none."""
    if "iiou" not in result["iterations"][0]:
        return {}
    return {"instance_sizes": info.average_instance_sizes or "averages over the split"}


def _commit():
    """The commit of this repository, with "+" if tracked files differ from it; None outside a repository."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    git = ["git", "-C", str(folder)]
    try:
        head = subprocess.run([*git, "rev-parse", "--verify", "-q", "HEAD"], capture_output=True, text=True)
        differs = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True).returncode
    except OSError:
        return None
    return head.stdout.strip() + ("+" if differs else "") if head.returncode == 0 else None

"""Records what the scores of a report depend on besides the model: data, sizes, views, weights, device, commit."""

import subprocess
from pathlib import Path

import tensorflow as tf

from tfseg.runs.run_directory import weights_file
from tfseg.system.files import file_sha256
from tfseg.system.parallel import num_cores

PREDICTION = "argmax of {scores} after bilinear upsampling ({grid}) to the label's size"
FUSIONS = {
    "logits": "the mean of their logits",
    "probabilities": "the mean of their probabilities",
    "exp_logits": "the sum over the scales of exp(logits of the image and of its mirror image, summed)",
}
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
        "long_side": options.long_side,
        "window": list(options.window.size) if options.window else None,
        "stride": list(options.window.stride) if options.window else None,
        "fusion": options.fusion,
        "prediction": PREDICTION.format(
            scores="the logits" if options.fusion == "logits" else FUSIONS[options.fusion], grid=GRIDS[padding]
        ),
        "ignored_label": 255,
        "mean": "over the classes that occur in labels or predictions",
        "cost_size": list(cost_size(result)),
        "device": f"{gpus} GPUs" if gpus else f"{num_cores()} CPU cores",
        "weights": str(weights.relative_to(workdir)),
        "weights_sha256": file_sha256(weights),
        "tensorflow": tf.__version__,
        "commit": _commit(),
    }


def views_lines(protocol: dict) -> list[str]:
    """Sentences about the views of a protocol: scales and what they are relative to, windows, and the fusion.

    Protocols of earlier versions have neither windows nor fusions.
    """
    size, long_side = protocol["network_size"], protocol.get("long_side")
    base = "the image's own size" if isinstance(size, str) else f"{size[0]}x{size[1]}"
    base = f"the image with {long_side} pixels on its longer side" if long_side else base
    scales = ", ".join(f"{scale:g}" for scale in protocol["scales"])
    mirrored = ", each with its mirror image" if protocol["flip"] else ""
    lines = [f"Views: scales {scales}{mirrored}; scale 1 is {base}."]
    if protocol.get("window"):
        window, stride = ("x".join(map(str, protocol[key])) for key in ("window", "stride"))
        lines.append(f"Windows of {window} slide over every view by {stride}; where they overlap, logits are averaged.")
    if len(protocol["scales"]) > 1 or protocol["flip"]:
        lines.append(f"The views are fused by {FUSIONS[protocol.get('fusion', 'logits')]}.")
    return lines


def views_flags(protocol: dict) -> str:
    """The flags of evaluate.py, each after a blank, that give the views of a protocol; empty for the defaults."""
    scales, size, fusion = protocol["scales"], protocol["network_size"], protocol.get("fusion", "logits")
    flags = {
        "scales": ",".join(f"{scale:g}" for scale in scales) if scales != [1.0] else "",
        "size": "" if isinstance(size, str) else "x".join(map(str, size)),
        "long_side": protocol.get("long_side"),
        "window": "x".join(map(str, protocol.get("window") or ())),
        "stride": "x".join(map(str, protocol.get("stride") or ())),
        "fuse": fusion if fusion != "logits" else "",
    }
    given = "".join(f" --{name}={value}" for name, value in flags.items() if value)
    return given + (" --flip" if protocol["flip"] else "")


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

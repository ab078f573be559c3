"""What a recurrent network does with its canvas (McIntosh et al., "Recurrent Segmentation for Variable Computational
Budgets", section 5): does it mend a wrong start, does it use a right one, and which details does it draw?"""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np

from tfseg import markdown, visualize
from tfseg.errors import InputError
from tfseg.evaluation import charts
from tfseg.evaluation.scored_images import open_scored_split
from tfseg.formats.images import encode_png
from tfseg.inference.runner import Inference
from tfseg.metrics import confusion
from tfseg.runs.run_directory import load_run
from tfseg.system.files import write_atomically
from tfseg.system.progress import with_progress
from tfseg.system.small_files import sealed

WRONG, TRUE, SPECTRA = "wrong_seed", "true_seed", "spectra"
KINDS = (WRONG, TRUE, SPECTRA)
NUM_BINS = 40  # of spatial frequency, from 0 to half a cycle a pixel
SHOWN_ROWS = 2


@dataclasses.dataclass(frozen=True)
class AnalysisOptions:
    """What is analysed.

    Attributes:
      split, data_dir, weights, report_dir: see `report.ReportOptions`.
      iterations: number of iterations that are shown; None means those that training ran at most.
      max_images: the most images; None means all.
    """

    split: str | None = None
    data_dir: str | None = None
    weights: str = "last"
    report_dir: str | None = None
    iterations: int | None = None
    max_images: int | None = None


def analyse(model, kind, options: AnalysisOptions) -> dict:
    """Runs one analysis on a trained recurrent model, and writes <kind>.json and <kind>.png into its report.

    Args:
      model: run directory or model zoo folder.
      kind: "wrong_seed": the canvas starts with the label's shapes in wrong classes; "true_seed": with the label;
        "spectra": the power of the class maps by spatial frequency, of the label and after iterations.
      options: an AnalysisOptions.
    Returns:
      The content of the JSON file: of a seed "miou" {"zero", "seeded"} lists by iteration; of spectra, see `spectra`.
    Raises:
      InputError: the model does not iterate or keeps no state, or there are no such data.
    """
    config, info, network = load_run(model, options.weights)
    if not (network.is_recurrent and network.state_spec()):
        raise InputError(f"{model}: its canvas is not refined, so there is nothing to analyse; take a recurrent model")
    data = config.data
    split = open_scored_split(
        data.dataset, options.data_dir, data.data_dir, options.split, data.validation_split, info, data.fold
    )
    if options.iterations is not None and options.iterations < 1:
        raise InputError(f"{options.iterations} iterations: at least 1")
    count = options.iterations or network.trained_iterations
    examples = split.examples().as_numpy_iterator()
    total = min(split.num_examples, options.max_images or split.num_examples)
    triples = ((one["image"][0], one["label"][0], one["filename"][0].decode(errors="replace")) for one in examples)
    images = with_progress(itertools.islice(triples, total), total, "analysing")
    with split.damage_named():
        run = spectra if kind == SPECTRA else _seeded
        content, picture = run(Inference(network), info, images, count, kind)
    content = {"dataset": data.dataset, "split": split.name, "num_images": total, "iterations": count} | content
    folder = Path(options.report_dir or Path(model) / "report")
    write_atomically(folder / f"{kind}.json", json.dumps(sealed(content), indent=1).encode())
    write_atomically(folder / f"{kind}.png", encode_png(picture))
    return content


def as_text(content) -> str:
    """The numbers of an analysis, as lines."""
    if "miou" in content:
        lines = [
            [str(n + 1), *(f"{100 * values[n]:.2f}" for values in content["miou"].values())]
            for n in range(content["iterations"])
        ]
        return markdown.table(["iteration", *(f"mIoU, %, {start}" for start in content["miou"])], lines, [True] * 3)
    names = list(content["cumulative"]["all"])[1:]
    lines = [[name, *(f"{lines[one][-1]:.2f}" for one in names)] for name, lines in content["cumulative"].items()]
    return markdown.table(["power, share of the label's", *names], lines, [False, *[True] * len(names)])


def seed_of(label, canvas, scale, shift) -> np.ndarray:
    """Returns a canvas that shows a label.

    Args:
      label: [height, width] class ids; other values give zeros.
      canvas: [h, w, num_classes] logits of the network's own for the image, whose mean lead of the best class over the
        mean of all is the height of the seed.
      scale: factor of that height.
      shift: every class c is drawn as class (c + shift) modulo num_classes; 0 is the label itself.
    Returns:
      [h, w, num_classes] float32.
    """
    height, width, num_classes = canvas.shape
    rows, columns = (np.arange(side) * given // side for side, given in zip((height, width), label.shape, strict=True))
    centres = rows + label.shape[0] // height // 2, columns + label.shape[1] // width // 2
    small = label[np.minimum(centres[0], label.shape[0] - 1)][:, np.minimum(centres[1], label.shape[1] - 1)]
    lead = float(np.mean(canvas.max(-1) - canvas.mean(-1)))
    shown = (small[..., np.newaxis] + shift) % num_classes == np.arange(num_classes)
    is_class = (small >= 0) & (small < num_classes)
    return np.float32(scale * lead) * (shown & is_class[..., np.newaxis]).astype(np.float32)


def _seeded(inference, info, images, count, kind):
    network = inference.network
    scale = network.carry.scale if network.carry else 1.0
    starts = ("zero", "seeded")
    matrices = {start: np.zeros([count, info.num_classes, info.num_classes], np.int64) for start in starts}
    rows = []
    for image, label, filename in images:
        zero = inference.refine_until(image, count, last_only=False)
        if zero.state is None:
            raise InputError(f"{filename}: too large to go through the network in one piece, which a seed needs")
        canvas = seed_of(label, zero.answer.canvas(), scale, shift=0 if kind == TRUE else 1)
        state = {name: np.zeros_like(value) for name, value in zero.state.items()} | {"canvas": canvas[np.newaxis]}
        if "error" in network.start_spec():
            state["error"] = np.zeros_like(canvas[np.newaxis, ..., :1])
        seeded = inference.refine_until(image, count, start=state, last_only=False)
        for start, run in zip(starts, (zero, seeded), strict=True):
            for index in range(count):
                matrices[start][index] += confusion.confusion_matrix(
                    label, run.answer.class_ids(index), info.num_classes, info.ignore_label
                )
        if len(rows) < SHOWN_ROWS:
            shown = np.where(label == info.ignore_label, label, (label + (kind == WRONG)) % info.num_classes)
            rows.append((image, [shown, *(seeded.answer.class_ids(index) for index in range(count))], label))
    miou = {start: [float(confusion.mean_iou(one)[0]) for one in matrices[start]] for start in starts}
    title = "Start with wrong classes" if kind == WRONG else "Start with the label"
    chart = charts.by_iteration(miou, title)
    return {"scale": scale, "miou": miou}, visualize.stacked([chart, visualize.strips(rows, info, first="seed")])


def spectra(inference, info, images, count, kind=SPECTRA):
    """Compares the power spectra of class maps with those of the labels.

    The spectrum of a class is that of its mask (1 where the class is), summed over all images that show it.

    Returns:
      ({"frequency": [NUM_BINS] upper ends of the bins in cycles a pixel, "cumulative": {class or "all": {"label",
      "iteration <n>": [NUM_BINS] power up to this frequency, as a share of the label's in all}}}, picture).
    """
    shown = {1: "iteration 1", count: f"iteration {count}"}
    names = ["label", *shown.values()]
    power = {name: np.zeros([info.num_classes, NUM_BINS]) for name in names}
    for image, label, _ in images:
        run = inference.refine_until(image, count, last_only=False)
        maps = {"label": label} | {name: run.answer.class_ids(index - 1) for index, name in shown.items()}
        is_labelled = label != info.ignore_label
        for class_id in np.unique(label[is_labelled]):
            for name, class_ids in maps.items():
                power[name][class_id] += radial_power((class_ids == class_id) & is_labelled)
    totals = power["label"].sum(1)
    cumulative = {
        info.class_names[class_id]: {
            name: (power[name][class_id].cumsum() / totals[class_id]).tolist() for name in names
        }
        for class_id in range(info.num_classes)
        if totals[class_id]
    }
    cumulative["all"] = {name: (power[name].sum(0).cumsum() / totals.sum()).tolist() for name in names}
    frequency = (np.arange(1, NUM_BINS + 1) * 0.5 / NUM_BINS).tolist()
    return {"frequency": frequency, "cumulative": cumulative}, charts.cumulative_spectra(frequency, cumulative)


def radial_power(mask) -> np.ndarray:
    """Returns [NUM_BINS] power of a mask by spatial frequency, 0 to half a cycle a pixel in any direction.

    The mean of the mask is left out. Corners of the spectrum beyond half a cycle belong to the last bin, so that all
    bins together hold the mask's variance (Parseval).
    """
    mask = np.asarray(mask, np.float64)
    spectrum = np.abs(np.fft.fft2(mask - mask.mean())) ** 2 / mask.size**2
    down, across = (np.fft.fftfreq(side) for side in mask.shape)
    radius = np.hypot(down[:, np.newaxis], across)
    bins = np.minimum((radius * 2 * NUM_BINS).astype(int), NUM_BINS - 1)
    return np.bincount(bins.ravel(), spectrum.ravel(), minlength=NUM_BINS)

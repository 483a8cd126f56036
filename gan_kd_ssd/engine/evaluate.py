"""Evaluation of a detector: load, measure, print, save."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from gan_kd_ssd.config.evaluation_options import EvaluationConfig
from gan_kd_ssd.config.parser import class_names
from gan_kd_ssd.data.formats.catalog import NAMED, has_split, open_dataset
from gan_kd_ssd.detectors.base import detector_class
from gan_kd_ssd.detectors.names import kind_of
from gan_kd_ssd.engine import devices, load_trained
from gan_kd_ssd.evaluation import metrics as voc
from gan_kd_ssd.logs.run_metadata import classes_beside
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import writable_folder, write_text


def run(config: EvaluationConfig) -> int:
    """Run an evaluation and return the exit code 0.

    Raises:
        UserError: data, weights, devices or output paths that cannot be used.
    """
    if config.json and (not config.json.parent.is_dir() or config.json.is_dir()):
        raise UserError(f"--json {config.json}: the folder does not exist, or the path is a folder")
    if config.plot:
        writable_folder(config.plot, "--plot")
    dataset = _open(config)
    ctx, device_line = devices.pick(config.gpus, config.cpu_devices)
    devices.check(config.batch_size, ctx)
    params, option = _weights(config)
    detector = load_trained.load(config, dataset.classes, params, ctx, option)
    print(device_line)
    print(f"data: {dataset.name}: {len(dataset)} images, {dataset.summary['objects']} objects")
    if dataset.summary_line():
        print(f"data: {dataset.summary_line()}")
    evaluations = _measure(config, detector, ctx, dataset)
    _print(evaluations)
    if config.json:
        content = {
            "network": config.network,
            **detector.sizes,
            "params": str(params),
            "dataset": dataset.name,
            "batch_size": config.batch_size,
            **evaluations[0].to_json(),
            "metrics": {one.metric: one.to_json() for one in evaluations},
        }
        write_text(config.json, json.dumps(content, indent=2) + "\n")
        print(f"results: {config.json}")
    if config.plot:
        from gan_kd_ssd.evaluation.pictures import draw_dataset

        more = (config.plot, config.plot_images, config.score_threshold)
        drawn, shown = draw_dataset(detector, dataset, ctx[0], *more)
        print(f"pictures: {config.plot}{os.sep} ({drawn} images and grid.png)")
        if not shown:
            print(
                f"no detection above {config.score_threshold:g} in any picture: lower --score-threshold"
            )
    return 0


def _weights(config: EvaluationConfig) -> tuple[Path, str]:
    """The parameter file of the detector, and the option that names it."""
    if config.params is not None:
        return config.params, "--params"
    file = detector_class(kind_of(config.network)).published_weights(
        config.network, load_trained.settings_of(config), config.dataset, "--pretrained"
    )
    return file, "--pretrained"


def _open(config: EvaluationConfig):
    """The split to measure on, with the classes of the detector's training.

    The run that wrote the parameters records its classes. Without that record, the classes of a folder
    are those of its training split, if it has one, because a test split may lack some classes.
    """
    classes = class_names(config.classes)
    if classes is None and config.params is not None:
        classes = classes_beside(config.params)
    if classes is None and config.dataset not in NAMED and has_split(config.dataset, "train"):
        classes = open_dataset(config.dataset, "train").classes
    split = config.val_split
    where = {"data_root": config.data_root, "classes": classes, "val_split": split}
    return open_dataset(config.dataset, "val" if split else "test", **where)


def _measure(config: EvaluationConfig, detector, ctx: list, dataset) -> list[voc.Evaluation]:
    metric = config.metric or voc.metric_for(dataset)
    metrics = voc.METRICS if metric == "both" else (metric,)
    batches = detector.val_batches(dataset, config.batch_size, len(ctx), config.num_workers)
    bar = tqdm(total=len(dataset), unit="image", desc="evaluating", dynamic_ncols=True)
    with closing(batches), bar:
        results = voc.evaluate_metrics(detector, batches, ctx, metrics, bar.update, dataset)
    return [results[name] for name in metrics]


def _print(evaluations: list[voc.Evaluation]) -> None:
    print(voc.table(evaluations))
    for one in evaluations:
        if one.coco:
            print("\n".join(one.coco.summary))
        iou = "[.50:.95]" if one.coco else voc.IOU_THRESHOLD
        print(f"mAP@{iou} = {one.mean_ap:.4f} ({voc.METRIC_TITLES[one.metric]})")
    print(evaluations[0].timing)

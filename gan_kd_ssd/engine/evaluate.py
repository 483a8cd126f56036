"""Evaluation of a detector: load, measure, print, save."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from gan_kd_ssd.config.evaluation_options import EvaluationConfig
from gan_kd_ssd.data.formats.catalog import NAMED, has_split, open_dataset
from gan_kd_ssd.detectors.base import detector_class
from gan_kd_ssd.detectors.names import kind_of
from gan_kd_ssd.engine import devices, load_trained
from gan_kd_ssd.evaluation import metrics as voc
from gan_kd_ssd.logs.run_metadata import classes_beside
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import writable_folder, write_text


def run(config: EvaluationConfig) -> int:
    """Evaluate as the configuration says; returns the exit code 0.

    Raises:
        UserError: data, weights, devices or output paths that cannot be used.
    """
    results = config.results
    _check_outputs(results)
    dataset = _open(config)
    ctx, device_line = devices.pick(config.run.gpus, config.run.cpu_devices)
    devices.check_batch(config.run.batch_size, ctx)
    params, option = _weights(config)
    detector = load_trained.load(config, dataset.classes, params, ctx, option)
    print(device_line)
    print(f"data: {dataset.name}: {len(dataset)} images, {dataset.summary['objects']} objects")
    if dataset.summary_line():
        print(f"data: {dataset.summary_line()}")

    metric = results.metric or voc.metric_for(dataset)
    metrics = voc.METRICS if metric == "both" else (metric,)
    batches = detector.val_batches(dataset, config.run.batch_size, len(ctx), config.run.num_workers)
    with closing(batches):
        evaluations = _measure(detector, batches, ctx, metrics, dataset)
    _print(evaluations)
    if results.json:
        content = {
            "network": config.network,
            **detector.sizes,
            "params": str(params),
            "dataset": dataset.name,
            "batch_size": config.run.batch_size,
            **evaluations[0].to_json(),
            "metrics": {one.metric: one.to_json() for one in evaluations},
        }
        write_text(results.json, json.dumps(content, indent=2) + "\n")
        print(f"results: {results.json}")
    if results.plot:
        from gan_kd_ssd.evaluation.pictures import draw_dataset

        threshold = results.score_threshold
        drawn, shown = draw_dataset(
            detector, dataset, ctx[0], results.plot, results.plot_images, threshold
        )
        print(f"pictures: {results.plot}{os.sep} ({drawn} images and grid.png)")
        if not shown:
            print(f"no detection above {threshold:g} in any picture: lower --score-threshold")
    return 0


def _weights(config: EvaluationConfig) -> tuple[Path, str]:
    """The parameter file of the detector, and the option that names it."""
    if config.params is not None:
        return config.params, "--params"
    file = detector_class(kind_of(config.network)).published_weights(
        config.network, load_trained.settings_of(config), config.data.dataset, "--pretrained"
    )
    return file, "--pretrained"


def _check_outputs(results) -> None:
    """Check the output paths before the work starts."""
    if results.json and (not results.json.parent.is_dir() or results.json.is_dir()):
        raise UserError(f"--json {results.json}: not a file in a folder that exists")
    if results.plot:
        writable_folder(results.plot, "--plot")


def _open(config: EvaluationConfig):
    """The split to measure on, with the classes that the detector was trained on.

    The run that wrote the parameters records its classes. Without that record, the classes of a folder
    are those of its training split if it has one: a test split may lack objects of some class.
    """
    data = config.data
    classes = data.classes and list(data.classes)
    if classes is None and config.params is not None:
        classes = classes_beside(config.params)
    if classes is None and data.dataset not in NAMED and has_split(data.dataset, "train"):
        classes = open_dataset(data.dataset, "train").classes
    return open_dataset(
        data.dataset,
        "val" if data.val_split else "test",
        data_root=data.root,
        classes=classes,
        val_split=data.val_split,
    )


def _measure(detector, batches, ctx, metrics, dataset) -> list[voc.Evaluation]:
    total = len(dataset)
    with tqdm(total=total, unit="image", desc="evaluating", dynamic_ncols=True) as bar:
        results = voc.evaluate_metrics(detector, batches, ctx, metrics, bar.update, dataset)
    return [results[name] for name in metrics]


def _print(evaluations: list[voc.Evaluation]) -> None:
    first = evaluations[0]
    print(voc.table(evaluations))
    for one in evaluations:
        if one.coco:
            print("\n".join(one.coco.summary))
        iou = "[.50:.95]" if one.coco else voc.IOU_THRESHOLD
        print(f"mAP@{iou} = {one.mean_ap:.4f} ({voc.METRIC_TITLES[one.metric]})")
    print(first.timing)

"""What eval_voc.py does: load, measure, show, save."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from gan_kd_ssd.evaluation import metrics as voc
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import write_text


def run(options: argparse.Namespace) -> int:
    """Evaluate as the options of :func:`gan_kd_ssd.config.evaluation_options.parse` ask; returns 0.

    Raises:
        UserError: data, weights, devices or output paths that cannot be used.
    """
    _check_outputs(options)
    from gan_kd_ssd.engine import devices
    from gan_kd_ssd.engine import load_trained as trained

    dataset = _open(options)
    ctx, device_line = devices.pick(options.gpus, options.cpu_devices)
    devices.check_batch(options.batch_size, ctx)
    params, option = _weights(options)
    detector = trained.load(options, dataset.classes, params, ctx, option)
    batches = detector.val_batches(dataset, options.batch_size, len(ctx), options.num_workers)
    print(device_line)
    print(f"data: {dataset.name}: {len(dataset)} images, {dataset.summary['objects']} objects")
    if dataset.summary_line():
        print(f"data: {dataset.summary_line()}")

    metric = options.metric or voc.metric_for(dataset)
    metrics = voc.METRICS if metric == "both" else (metric,)
    evaluations = _measure(detector, batches, ctx, metrics, dataset)
    _show(evaluations)
    if options.json:
        results = _results(options, detector, params, dataset, evaluations)
        write_text(options.json, json.dumps(results, indent=2) + "\n")
        print(f"results: {options.json}")
    if options.plot:
        from gan_kd_ssd.evaluation.pictures import draw_dataset

        threshold = options.score_threshold
        drawn, shown = draw_dataset(
            detector, dataset, ctx[0], options.plot, options.plot_images, threshold
        )
        print(f"pictures: {options.plot}{os.sep} ({drawn} images and grid.png)")
        if not shown:
            print(f"no detection above {threshold:g} in any picture: lower --score-threshold")
    return 0


def _weights(options) -> tuple[Path, str]:
    """The file of the detector, and the option that names it."""
    if options.params is not None:
        return options.params, "--params"
    from gan_kd_ssd.detectors.base import detector_class
    from gan_kd_ssd.detectors.names import kind_of
    from gan_kd_ssd.engine.load_trained import settings_of

    file = detector_class(kind_of(options.network)).published_weights(
        options.network, settings_of(options), options.dataset, "--pretrained"
    )
    return file, "--pretrained"


def _check_outputs(options) -> None:
    """Before an hour of work, and not after it."""
    if options.json and (not options.json.parent.is_dir() or options.json.is_dir()):
        raise UserError(f"--json {options.json}: not a file in a folder that exists")
    if options.plot:
        try:
            options.plot.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"--plot {options.plot}: not a folder that can be made ({error.strerror})"
            ) from error


def _open(options):
    """The split to measure on, with the classes that training gave the detector.

    Those are in the metrics that a run leaves beside its parameters. Without them a folder's classes
    are those of its training split, where it has one: a test split may lack objects of some class.
    """
    from gan_kd_ssd.data.formats.catalog import NAMED, has_split, open_dataset
    from gan_kd_ssd.engine.runlog import classes_beside

    classes = options.classes
    if classes is None and options.params is not None:
        classes = classes_beside(options.params)
    if classes is None and options.dataset not in NAMED and has_split(options.dataset, "train"):
        classes = open_dataset(options.dataset, "train").classes
    role = "val" if options.val_split else "test"
    return open_dataset(
        options.dataset,
        role,
        data_root=options.data_root,
        classes=classes,
        val_split=options.val_split,
    )


def _measure(detector, batches, ctx, metrics, dataset) -> list[voc.Evaluation]:
    from tqdm import tqdm

    try:
        total = len(dataset)
        with tqdm(total=total, unit="image", desc="evaluating", dynamic_ncols=True) as bar:
            results = voc.evaluate_metrics(detector, batches, ctx, metrics, bar.update, dataset)
    finally:
        batches.close()  # stops the processes that read images
    return [results[name] for name in metrics]


def _show(evaluations) -> None:
    first = evaluations[0]
    print(voc.table(evaluations))
    for one in evaluations:
        if one.coco:
            print("\n".join(one.coco.summary))
        iou = "[.50:.95]" if one.coco else voc.IOU_THRESHOLD
        print(f"mAP@{iou} = {one.mean_ap:.4f} ({voc.METRIC_TITLES[one.metric]})")
    print(first.timing)


def _results(options, detector, params, dataset, evaluations) -> dict:
    first = evaluations[0].to_json()
    return {
        "network": options.network,
        **detector.sizes,
        "params": str(params),
        "dataset": dataset.name,
        "batch_size": options.batch_size,
        **first,
        "metrics": {one.metric: one.to_json() for one in evaluations},
    }

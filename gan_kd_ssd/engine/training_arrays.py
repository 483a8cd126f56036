"""Arrays of networks and optimizers, to save and to restore on all devices."""

from __future__ import annotations

import numpy as np

from gan_kd_ssd.util.mxnet import mx


def block_arrays(block) -> dict[str, np.ndarray]:
    """All values of a block, by structural name and device.

    Running statistics differ between devices and are read from each; weights are read from the first.
    """
    arrays = {}
    for name, parameter in block._collect_params_with_prefix().items():
        copies = parameter.list_data()
        for device, value in enumerate(copies if parameter.grad_req == "null" else copies[:1]):
            arrays[f"{name}@{device}"] = value.asnumpy()
    return arrays


def restore_block(block, arrays: dict[str, np.ndarray]) -> None:
    """Restore the values of :func:`block_arrays`; KeyError or ValueError for those of another network."""
    parameters = block._collect_params_with_prefix()
    expected = {f"{name}@0" for name in parameters}
    if expected != {key for key in arrays if key.endswith("@0")}:
        raise KeyError("parameters of another network")
    for name, parameter in parameters.items():
        for device, value in enumerate(parameter.list_data()):
            kept = arrays.get(f"{name}@{device}", arrays[f"{name}@0"])
            if kept.shape != value.shape:
                raise ValueError(f"{name} has shape {value.shape}, in the file it has {kept.shape}")
            # value[:] = kept fails for arrays in the private layout of oneDNN.
            mx.nd.array(kept, ctx=value.context, dtype=kept.dtype).copyto(value)


def trainer_arrays(trainer) -> tuple[dict[str, np.ndarray], dict]:
    """The state of a trainer's optimizer: its arrays, and the counts of its updates."""
    arrays = {}
    for index, state in trainer._updaters[0].states.items():
        parts = state if isinstance(state, (tuple, list)) else [state]
        for part, value in enumerate(parts):
            if value is not None:
                arrays[f"{index}.{part}.{len(parts)}"] = value.asnumpy()
    optimizer = trainer.optimizer
    counts = {str(k): v for k, v in optimizer._all_index_update_counts.get(0, {}).items()}
    return arrays, {"num_update": optimizer.num_update, "updates": counts}


def restore_trainer(trainer, arrays: dict[str, np.ndarray], counts: dict) -> None:
    """Restore the state of :func:`trainer_arrays` on every device."""
    states: dict[int, dict[int, np.ndarray]] = {}
    for key, value in arrays.items():
        index, part, _ = (int(text) for text in key.split("."))
        states.setdefault(index, {})[part] = value
    updates = {int(k): v for k, v in counts["updates"].items()}
    for updater, ctx in zip(trainer._updaters, trainer._contexts):
        for index, parts in states.items():
            values = [mx.nd.array(parts[i], ctx=ctx) for i in sorted(parts)]
            updater.states[index] = values[0] if len(values) == 1 else tuple(values)
            updater.states_synced[index] = True
    optimizer = trainer.optimizer
    optimizer.num_update = counts["num_update"]
    for ctx in trainer._contexts:
        optimizer._all_index_update_counts[ctx.device_id] = dict(updates)

"""Selection of the devices of a run."""

from __future__ import annotations

from gan_kd_ssd.util import cuda
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx


def gpu_count() -> int:
    """Number of GPUs that MXNet can use; 0 with a CPU build or without a driver."""
    try:
        return mx.context.num_gpus()
    except mx.MXNetError:
        return 0


def pick(gpus: str | None, cpu_devices: int = 1) -> tuple[list, str]:
    """Select the contexts for ``--gpus`` and ``--cpu-devices``, and describe them in a line.

    Args:
        gpus: GPU numbers such as '0,1'; '' selects the CPU, None up to two GPUs if there are any.

    Raises:
        UserError: ``gpus`` is not a list of numbers, names a GPU twice, or contains a missing GPU.
    """
    if cpu_devices < 1:
        raise UserError(f"--cpu-devices {cpu_devices}: give at least 1")
    found = gpu_count()
    if gpus is None:
        ids = list(range(min(2, found)))
    else:
        try:
            ids = [int(part) for part in gpus.replace(" ", "").split(",") if part]
        except ValueError:
            raise UserError(
                f"--gpus {gpus!r}: give numbers such as 0,1, or '' for the CPU"
            ) from None
        if len(set(ids)) < len(ids):
            raise UserError(f"--gpus {gpus!r}: a GPU is named twice")
        missing = [str(i) for i in ids if not 0 <= i < found]
        if missing:
            raise UserError(
                f"--gpus {gpus!r}: no GPU {', '.join(missing)}; MXNet found {found} "
                f"GPU{'' if found == 1 else 's'} (use --gpus '' for the CPU; run gan-kd doctor to find the "
                f"reason; for the CUDA build of MXNet, {cuda.remedy(cuda.CUDA_BUILD)})"
            )
    if ids:
        return [mx.gpu(i) for i in ids], f"devices: GPU {', '.join(map(str, ids))} of {found} found"
    line = f"devices: CPU, {cpu_devices} context{'' if cpu_devices == 1 else 's'}"
    if not found:
        line += " (MXNet found no GPU)"
    return [mx.cpu(i) for i in range(cpu_devices)], line


def check(batch_size: int, ctx: list, kv_store: str = "device") -> None:
    """Raise :class:`UserError` if devices cannot share a batch, or cannot use a key-value store."""
    if batch_size < len(ctx):
        raise UserError(
            f"--batch-size {batch_size}: smaller than the {len(ctx)} devices; give at least {len(ctx)}"
        )
    if kv_store == "nccl" and ctx[0].device_type != "gpu":
        raise UserError("--kv-store nccl: works on GPUs only; give device or local on the CPU")

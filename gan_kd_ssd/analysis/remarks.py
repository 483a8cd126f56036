"""What a reader of a run's figures should know of the runs before it."""

from __future__ import annotations

from gan_kd_ssd.analysis.plain import count
from gan_kd_ssd.analysis.resume import epochs_before, resumed, with_resumed
from gan_kd_ssd.logs.log import Log, Run


def remarks_on(log: Log, run: Run) -> tuple[str, ...]:
    """Each in one line; none for a run that resumes no other."""
    before, joined = resumed(log, run), with_resumed(log, run)
    missing, found = epochs_before(joined), []
    if before is not None:
        found.append(
            f"goes on where run {log.number(before)} stopped: phases and mAP are of both together"
        )
    if missing:
        first = next(segment.epochs[0] for segment in joined.segments if segment.epochs)
        found.append(
            f"resumed from {run.namespace['resume']}: what came before epoch {first} is not in this"
            f" file, and counts as {count(missing, 'epoch')}"
        )
    return tuple(found)

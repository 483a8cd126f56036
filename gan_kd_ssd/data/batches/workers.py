"""A pool of worker processes that prepares batches ahead of time, in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from gan_kd_ssd.util.errors import UserError

_AHEAD = 2  # batches per worker that are being made or waiting


def processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Apply a function to items in order, in the calling process or in worker processes.

    The workers are forked from a clean server process, without MXNet, threads and locks. They start
    at the first use and run until close(). An exception in a worker is raised here; a worker that
    ends unexpectedly (killed, out of memory) causes a UserError.

    Args:
        function: Called with one item. It, the items and the results must be picklable.
        num_workers: Number of processes; 0 for the calling process.
    """

    def __init__(self, function: Callable, num_workers: int = 0):
        if num_workers < 0:
            raise UserError(f"--num-workers {num_workers}: must be 0 or more")
        self._function, self._num_workers = function, num_workers
        self._pool: ProcessPoolExecutor | None = None

    def map(self, items: Iterable) -> Iterator:
        """Yield the results of the function in the order of the items."""
        if not self._num_workers:
            yield from map(self._function, items)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._num_workers,
                mp_context=multiprocessing.get_context("forkserver"),
                initializer=_start,
                initargs=(self._function,),
            )
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(_work, item))
                if len(waiting) > _AHEAD * self._num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            self.close()
            raise UserError(
                "a data worker process died, perhaps for lack of memory; try fewer --num-workers"
            ) from None
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """Stop the worker processes; the next map() starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


_function: Callable | None = None


def _start(function: Callable) -> None:
    """Initialise a worker process."""
    import cv2

    global _function
    _function = function
    cv2.setNumThreads(0)  # one thread per worker is enough
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent handles them and needs its workers
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End this worker when its parent has ended, even if it was killed."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _work(item):
    return _function(item)

"""The two training logs that the authors of arXiv 1906.08467 published.

They travel with the package as they were published (MIT licence, ``published_logs/LICENSE``), in gzip
files. Written out again, a parsed log is the original to the byte.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from gan_kd_ssd.logs.log import Log
from gan_kd_ssd.logs.parse import parse

#: The published logs by the name that ``--reference`` takes, with the authors' file names.
REFERENCES = {
    "ssd": "ssd_512_mobilenet1_0_resnet50_v1_voc_g_d_new_train.log",
    "faster_rcnn": "faster_rcnn_resnet50_resnet101_v1b_g_d_voc_train.log",
}


@cache
def reference(name: str) -> Log:
    """Read the published log of a detector: ``ssd`` or ``faster_rcnn``."""
    file = Path(__file__).parent / "published_logs" / f"{name}.log.gz"
    return parse(gzip.decompress(file.read_bytes()).decode(), REFERENCES[name])

"""Tables 1 to 3 of the paper, with our runs beside the published figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gan_kd_ssd.errors import UserError
from gan_kd_ssd.logs.arguments import FASTER_RCNN, SSD, Command, command_of
from gan_kd_ssd.logs.figures import last_trained, run_figures
from gan_kd_ssd.logs.log import Log
from gan_kd_ssd.logs.published import load_json
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.summary import mean_ap


@dataclass(frozen=True)
class Found:
    """The best of our runs for a cell: mAP in percent."""

    mean_ap: float
    log: str


@dataclass(frozen=True)
class Cell:
    """One figure of a table; ``teacher`` None is the student alone; mAP in percent."""

    table: int
    dataset: str
    student: str
    teacher: str | None
    cosine: bool
    published: float
    roi_mode: str | None = None

    @property
    def label(self) -> str:
        """``mobilenet1.0 from resnet50_v1 with cosine attention``."""
        label = self.student + (f" from {self.teacher}" if self.teacher else " alone")
        label += " with cosine attention" if self.cosine else ""
        return f"{label}, RoI {self.roi_mode}" if self.roi_mode else label

    def command(self) -> Command:
        """What trains the cell; options that are not here have the published defaults."""
        name = f"{self.student}_{self.teacher or 'alone'}{'_cosine' if self.cosine else ''}"
        options: dict[str, object] = {"dataset": self.dataset}
        if self.roi_mode:
            name += f"_{self.roi_mode}"
            options |= {"roi_mode": self.roi_mode}
        else:
            options |= {"student": self.student, "teacher": self.teacher}
        options |= {"distill": None if self.teacher else "none"}
        options |= {"cosine_attention": 1.0 if self.cosine else None}
        options |= {"save_prefix": f"table{self.table}/{name}"}
        return Command(FASTER_RCNN if self.roi_mode else SSD, options)

    def is_of(self, command: Command) -> bool:
        """Whether a run of this command belongs to the cell."""
        options = command.options
        adversarial = "lrD" in options and options.get("distill", "gan") != "none"
        if adversarial != (self.teacher is not None) or not _same_data(self.dataset, options):
            return False
        if self.roi_mode:  # the published log does not tell it and has RoIPool's figure
            roi = options.get("roi_mode", "pool")
            return command.script == FASTER_RCNN and roi == self.roi_mode
        cosine = bool(options.get("cosine_attention")) and adversarial
        return (
            command.script == SSD
            and options.get("student") == self.student
            and (not adversarial or options.get("teacher") == self.teacher)
            and cosine == self.cosine
            and options.get("data_shape") in (512, None)
        )


def _same_data(dataset: str, options: dict) -> bool:
    # the published Faster R-CNN log calls VOC 07 alone "voc" as well
    told = options.get("dataset")
    return told == dataset or (dataset == "voc07" and told == "voc" and "use_fpn" in options)


def cells() -> list[Cell]:
    """Every figure of the three tables, in the paper's order."""
    return [Cell(**fields) for fields in load_json("paper.json")["cells"]]


def runs_in(folder: str | Path) -> Iterable[Log]:
    """The training logs below a folder; files that are none are passed over.

    Raises:
        UserError: no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is not a folder: name the folder where your runs are")
    for path in sorted(Path(folder).rglob("*_train.log")):
        try:
            yield read(path)
        except UserError:
            continue


def find_runs(logs: Iterable[Log]) -> dict[Cell, Found]:
    """The best run for each cell that has one."""
    everything, found = cells(), {}
    for log in logs:
        run = last_trained(log)
        if run is None or run.start is None:
            continue
        command, reached = command_of(log, run), mean_ap(run_figures(run), 1)
        if reached is None:
            continue
        for cell in everything:
            best = 100 * reached["best"]
            if cell.is_of(command) and (cell not in found or best > found[cell].mean_ap):
                found[cell] = Found(best, log.source)
    return found


def tables_as_dict(found: dict[Cell, Found]) -> list[dict]:
    """For JSON: one object a cell."""
    rows = []
    for cell in cells():
        here = found.get(cell)
        rows.append(
            {
                "table": cell.table,
                "cell": cell.label,
                "published": cell.published,
                "ours": here.mean_ap if here else None,
                "log": here.log if here else None,
                "command": cell.command().line(),
            }
        )
    return rows


def tables_text(found: dict[Cell, Found]) -> str:
    """The three tables for a terminal."""
    paper, out = load_json("paper.json"), []
    width = max(len(cell.label) for cell in cells())
    for table, title in paper["titles"].items():
        out += [f"Table {table}: {title}"]
        if paper["notes"][table]:
            out.append(paper["notes"][table])
        for cell in cells():
            if cell.table != int(table):
                continue
            here = found.get(cell)
            ours = "-"
            if here:
                ours = f"{here.mean_ap:.1f} ({here.mean_ap - cell.published:+.1f}), {here.log}"
            out.append(f"  {cell.label:<{width}}  published {cell.published:.1f}  ours {ours}")
            out.append(f"      {cell.command().line()}")
        out.append("")
    return "\n".join(out)

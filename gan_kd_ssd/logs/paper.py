"""Tables 1 to 3 of the paper, with our runs beside the published figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from gan_kd_ssd.errors import UserError
from gan_kd_ssd.logs.arguments import FASTER_RCNN, SSD, Command, backbone, command_of
from gan_kd_ssd.logs.figures import last_trained, run_figures
from gan_kd_ssd.logs.log import Log
from gan_kd_ssd.logs.published import load_json
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.resume import with_resumed
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
        options: dict[str, object] = {
            # the script of the published Faster R-CNN log calls VOC 07 alone "voc"
            "dataset": "voc" if self.roi_mode else self.dataset,
            "roi_mode": self.roi_mode,
            "student": self.student,
            "teacher": self.teacher,
            "distill": None if self.teacher else "none",
            "cosine_attention": 1.0 if self.cosine else None,
            "save_prefix": self._prefix,
        }
        if self.teacher_cell:
            options["Teacher_param_path"] = f"{self.teacher_cell._prefix}_best.params"
        return Command(self.script, options)

    @property
    def _prefix(self) -> str:
        name = f"{self.student}_{self.teacher or 'alone'}{'_cosine' if self.cosine else ''}"
        return f"table{self.table}/{name}" + (f"_{self.roi_mode}" if self.roi_mode else "")

    @property
    def teacher_cell(self) -> Cell | None:
        """The teacher alone, where it must be trained: GluonCV's zoo has its weights of the SSDs."""
        if self.roi_mode is None or self.teacher is None:
            return None
        return replace(self, student=self.teacher, teacher=None, cosine=False)

    @property
    def script(self) -> str:
        return FASTER_RCNN if self.roi_mode else SSD

    def is_of(self, command: Command) -> bool:
        """Whether a run of this command belongs to the cell."""
        options = command.options
        if command.script != self.script or not _same_data(self.dataset, command):
            return False
        adversarial = "lrD" in options and options.get("distill", "gan") != "none"
        teacher = backbone(options.get("teacher")) if adversarial else None
        if (backbone(options.get("student")), teacher) != (self.student, self.teacher):
            return False
        if self.roi_mode is None:
            cosine = adversarial and bool(options.get("cosine_attention"))
            return cosine == self.cosine and options.get("data_shape") in (512, None)
        # the published log does not tell whether it has cosine attention, and GluonCV's RoI mode
        cosine = not adversarial or options.get("cosine_attention") != 0
        sizes = options.get("short") in (600, None) and options.get("max_size") in (1000, None)
        roi_mode = options.get("roi_mode", "align")
        return cosine and sizes and roi_mode == self.roi_mode and not options.get("use_fpn")


def _same_data(dataset: str, command: Command) -> bool:
    told = command.options.get("dataset")
    if command.script == FASTER_RCNN and told == "voc":  # 07 alone, as in the published log
        told = "voc07"
    return told == dataset


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
        run = with_resumed(log, run)
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
        here, teacher = found.get(cell), cell.teacher_cell
        rows.append(
            {
                "table": cell.table,
                "cell": cell.label,
                "published": cell.published,
                "ours": here.mean_ap if here else None,
                "log": here.log if here else None,
                "command": cell.command().line(),
                "teacher_command": teacher.command().line() if teacher else None,
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
            if cell.teacher_cell:
                out.append(f"      {cell.teacher_cell.command().line()}  # its teacher")
            out.append(f"      {cell.command().line()}")
        out.append("")
    return "\n".join(out)

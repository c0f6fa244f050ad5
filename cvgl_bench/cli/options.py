"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from cvgl_bench.cli import completing

if TYPE_CHECKING:
    from tqdm import tqdm

Command = TypeVar("Command", bound=Callable[..., Any])
FOLDER = click.Path(file_okay=False, path_type=Path)
INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended


class CommaList(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Words with commas between them."""

    name = "a,b,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split at the commas; "none" is the empty list."""
        del param, ctx
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in str(value).split(","))
        return () if words == ("none",) else words


class Severities(CommaList):
    """Whole numbers with commas between them."""

    name = "1,3,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Split and read the numbers."""
        words = super().convert(value, param, ctx)
        try:
            return tuple(int(word) for word in words)
        except ValueError:
            self.fail(f"'{value}' is no list of whole numbers such as 1,3,5.", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> completing.Items:
        """Complete by one of 1 to 5 that is not there."""
        return completing.severities(ctx, param, incomplete)


class Count(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A whole number from 0, or all."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number; "all" is more than there can be."""
        if isinstance(value, int):
            return value
        if value == "all":
            return sys.maxsize
        if not re.fullmatch("[0-9]{1,9}", str(value)):
            self.fail(f"'{value}' is no whole number from 0, and not all.", param, ctx)
        return int(value)


class Shard(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """I/N: the I-th of N shards, counted from 1; or slurm: what the array task is."""

    name = "I/N|slurm"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read the two numbers, or a SLURM array task's place in its array."""
        if isinstance(value, tuple):
            return value
        if value == "slurm":
            return self._of_array_task(param, ctx)
        index, slash, count = str(value).partition("/")
        numbers = slash and all(re.fullmatch("[0-9]{1,6}", part) for part in (index, count))
        if not numbers or not 1 <= int(index) <= int(count):
            self.fail(
                f"'{value}' is not I/N with 1 <= I <= N, such as 2/8, and not slurm.", param, ctx
            )
        return int(index), int(count)

    def _of_array_task(
        self, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        names = [f"SLURM_ARRAY_TASK_{what}" for what in ("ID", "MIN", "COUNT")]
        values = {name: os.environ.get(name, "") for name in [*names, "SLURM_ARRAY_TASK_STEP"]}
        lacking = [name for name in names if not re.fullmatch("[0-9]{1,9}", values[name])]
        if lacking:
            self.fail(
                f"slurm reads {', '.join(names)}, which a task of `sbatch --array` has; here "
                f"{lacking[0]} is {values[lacking[0]] or 'not set'}. Give I/N instead.",
                param,
                ctx,
            )
        number, first, count = (int(values[name]) for name in names)
        step = int(values["SLURM_ARRAY_TASK_STEP"] or 1)
        index, rest = divmod(number - first, max(1, step))
        if rest or not 0 <= index < count:
            self.fail(
                f"task {number} of a SLURM array of {count} that begins at {first} in steps of "
                f"{step}: its ids are not evenly spaced. Give I/N instead.",
                param,
                ctx,
            )
        return index + 1, count


def selection(command: Command) -> Command:
    """Add --views, --corruptions and --severities."""
    for option in (
        click.option(
            "--severities", type=Severities(), help="Only these of the suite's severities."
        ),
        click.option(
            "--corruptions",
            type=CommaList(),
            shell_complete=completing.corruptions,
            help='Only these of the suite\'s corruptions; "none" for clean pictures alone.',
        ),
        click.option(
            "--views",
            type=CommaList(),
            shell_complete=completing.views,
            help="full, fov90, heading90, fov70-heading45, ... instead of the suite's own.",
        ),
    ):
        command = option(command)
    return command


suite = click.argument("suite", shell_complete=completing.suites)
model = click.option(
    "--model",
    required=True,
    metavar="NAME|FILE.py:CLASS",
    shell_complete=completing.models,
    help="A known model or your own.",
)
weights = click.option(
    "--weights", type=click.Path(path_type=Path), help="Checkpoint; all of it must fit."
)
batch_size = click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Pictures at once."
)
profile = click.option(
    "--profile",
    type=click.Choice(["standard", "published"]),
    help="Take the suite's form of this profile: cvusa-c published is cvusa-c-published.",
)
partial = click.option(
    "--partial",
    is_flag=True,
    help="Go on with fewer or other pictures than the suite's; marks every record.",
)
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
data = click.option(
    "--data", type=FOLDER, required=True, help="The data set's folder, as its authors lay it out."
)


workers = click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes. Default: 1; of a Ray cluster, all its processors.",
)
executor = click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes of this machine, or a Ray cluster.",
)
address = click.option(
    "--address",
    help="The Ray cluster: auto, or HOST:PORT. Left out, one is started on this machine.",
)


def say(sentence: str) -> None:
    """Tell the user something beside what is printed, and beside a progress bar."""
    from tqdm import tqdm

    tqdm.write(f"cvgl-bench: {sentence}", file=sys.stderr)


def stop(ctx: click.Context, out: object) -> NoReturn:
    """End after Ctrl-C, saying that the folder is worth going on with."""
    say(f"stopped. {out} keeps what was finished: run the same command again to go on.")
    ctx.exit(INTERRUPTED)


def progress_bar(total: int, what: str, unit: str = " images") -> tqdm[Any]:
    """Make a progress bar on standard error; what is no terminal gets a line every half minute.

    Each such line has its time, and the last one says how far it came. What takes less than half a
    minute leaves none.

    Args:
        total: how many there are to do; 0 if nobody knows.
        what: is done.
        unit: what is counted, with a blank before it.
    """
    from tqdm import tqdm

    from cvgl_bench.cli.log_lines import EVERY_SECONDS, FORMAT, WITHOUT_TOTAL, LogLines

    if sys.stderr.isatty():
        return tqdm(total=total, desc=what, unit=unit, delay=0.5)
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        delay=0.5,
        file=LogLines(sys.stderr),
        bar_format=FORMAT if total else WITHOUT_TOTAL,
        mininterval=EVERY_SECONDS,
        miniters=1,
    )

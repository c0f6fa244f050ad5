"""The command line: one module a command, imported when it is asked for."""

import importlib
from typing import Any

import click

from cvgl_bench.errors import CvglBenchError
from cvgl_bench.version import __version__

COMMANDS = {
    "demo": "cvgl_bench.cli.demo",
    "town": "cvgl_bench.cli.town",
    "generate": "cvgl_bench.cli.generate",
    "verify": "cvgl_bench.cli.verify",
    "train": "cvgl_bench.cli.train",
    "evaluate": "cvgl_bench.cli.evaluate",
    "score": "cvgl_bench.cli.score",
    "cost": "cvgl_bench.cli.cost",
    "compare": "cvgl_bench.cli.compare",
    "report": "cvgl_bench.cli.report",
    "publish": "cvgl_bench.cli.publish",
    "submit": "cvgl_bench.cli.submit",
    "verify-submission": "cvgl_bench.cli.verify_submission",
    "corrupt": "cvgl_bench.cli.corrupt",
    "locate": "cvgl_bench.cli.locate",
    "doctor": "cvgl_bench.cli.doctor",
    "list": "cvgl_bench.cli.listing",
    "push": "cvgl_bench.cli.push",
    "pull": "cvgl_bench.cli.pull",
    "completion": "cvgl_bench.cli.completion",
}


class OneSentence(click.ClickException):
    """Shows an error as one line, without a traceback; exit status 1."""

    def show(self, file: Any = None) -> None:
        """Print the sentence to standard error."""
        click.echo(f"cvgl-bench: {self.message}", err=True, file=file)


class LazyGroup(click.Group):
    """A group whose commands are imported one by one, so that --help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, in the order of a first use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what the user can mend becomes one sentence."""
        try:
            return super().invoke(ctx)
        except CvglBenchError as error:
            if ctx.params.get("traceback"):
                raise
            raise OneSentence(str(error)) from error
        except BrokenPipeError:
            # Whoever reads has read enough, as `head` does; click ends quietly.
            raise
        except OSError as error:
            if ctx.params.get("traceback"):
                raise
            raise OneSentence(f"{error.filename or 'the disk'}: {error.strerror}.") from error
        except RuntimeError as error:
            if ctx.params.get("traceback") or "no locator available" not in str(error):
                raise
            raise OneSentence(
                "numba can keep compiled functions neither beside the code nor in the user's cache "
                "folder: set NUMBA_CACHE_DIR to a folder that you can write to."
            ) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--traceback", is_flag=True, help="Show where in the code an error arose.")
def main(traceback: bool) -> None:
    """Measure what corrupted street pictures do to cross-view geo-localization models.

    Start with `cvgl-bench demo`.
    """
    del traceback  # read by LazyGroup.invoke

"""cvgl-bench completion: what a shell needs to complete commands, options and names."""

import os
from pathlib import Path

import click

from cvgl_bench.cli import output

PROGRAM = "cvgl-bench"
# Where click looks, when it is called, for what the shell asks.
VARIABLE = "_CVGL_BENCH_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@output.json_option
def command(shell: str | None) -> None:
    """Print what makes a shell complete commands.

    Completes commands, options, suites, models, corruptions, views and files. SHELL is the one that
    runs, if it is left out. In ~/.bashrc or ~/.zshrc:

    \b
        eval "$(cvgl-bench completion bash)"

    In fish: cvgl-bench completion fish > ~/.config/fish/completions/cvgl-bench.fish
    """  # noqa: D301
    from click.shell_completion import get_completion_class

    from cvgl_bench.cli import main
    from cvgl_bench.errors import CvglBenchError

    name = shell or Path(os.environ.get("SHELL", "")).name
    completion = get_completion_class(name) if name in SHELLS else None
    if completion is None:
        raise CvglBenchError(
            f"the shell here is '{name}', which is not known: name one of {', '.join(SHELLS)}."
        )
    script = completion(main, {}, PROGRAM, VARIABLE).source()
    output.show(script)
    output.document({"shell": name, "script": script})

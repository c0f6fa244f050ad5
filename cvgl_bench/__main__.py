"""python -m cvgl_bench: the command line, for launchers that want a module."""

from cvgl_bench.cli import main

if __name__ == "__main__":
    main(prog_name="cvgl-bench")

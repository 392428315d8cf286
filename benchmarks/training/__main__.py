"""The command `python -m benchmarks.training NAME`: trains one of the models that Weir ships."""

from __future__ import annotations

import argparse
import os
from importlib import import_module


def main() -> None:
    """One model, by name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=main.__doc__)
    parser.add_argument("model", choices=["injection", "routing"])
    model = parser.parse_args().model
    # one thread, so that sums are taken in the same order everywhere
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import_module(f"benchmarks.training.{model}").run()  # (numpy reads the variable when it is imported)


if __name__ == "__main__":
    main()

"""`make docs`: writes anew what is generated: the reference configuration, its schema, and parts of README and ARCHITECTURE.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`. Tests compare the files with what is
made here.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

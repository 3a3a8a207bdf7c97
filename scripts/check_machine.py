"""Say in one sentence what a machine lacks before anything is installed."""

import shutil
import sys
import sysconfig
from pathlib import Path


def main() -> None:
    """Exit with a sentence when Python is too old, has no venv or headers, or no C++ compiler is found."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs before anything else can say so
        sys.exit(
            f"unblend needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12 ..."
        )
    missing = []
    if not (shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")):
        missing.append("a C++ compiler (pyimfit is compiled when it is installed)")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        missing.append("the headers of Python")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        missing.append("Python's venv")
    if missing:
        sys.exit(
            "unblend needs " + " and ".join(missing) + ". On Debian or Ubuntu: "
            "sudo apt-get install g++ python3-dev python3-venv"
        )


if __name__ == "__main__":
    main()

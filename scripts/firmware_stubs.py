"""Copy the MicroPython stubs out of site-packages into a folder of their own: firmware_stubs.py FOLDER.

mypy takes a folder as its standard library (custom_typeshed_dir) only when no CPython package lies beside it.
"""

import shutil
import sys
from importlib.metadata import files
from pathlib import Path

DISTRIBUTIONS = ("micropython-esp32-esp32-generic-s3-stubs", "micropython-stdlib-stubs")


def copy_stubs(target: Path) -> int:
    """Fill `target` anew with both distributions' stubs; returns how many files were copied."""
    shutil.rmtree(target, ignore_errors=True)
    copied = 0
    for distribution in DISTRIBUTIONS:
        for file in files(distribution) or []:
            if ".dist-info" in file.parts[0] or ".." in file.parts:
                continue
            destination = target / file
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), destination)
            copied += 1
    return copied


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: firmware_stubs.py FOLDER")
    if not copy_stubs(Path(sys.argv[1])):
        sys.exit("firmware_stubs.py: the stub packages hold no files")

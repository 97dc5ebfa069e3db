"""`python -m kanhu`: the kanhu command."""

from kanhu.cli import main

main()

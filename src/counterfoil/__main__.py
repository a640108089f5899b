"""`python -m counterfoil`: the command line, for whoever has the interpreter but not the script."""

from counterfoil.cli import main

main()

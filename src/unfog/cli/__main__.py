"""`python -m unfog.cli`."""

from unfog.cli import main

main()

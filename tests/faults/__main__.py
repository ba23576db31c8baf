"""Runs the campaign: python -m faults --quick | --full | --prove, with tests/ in PYTHONPATH (`make faults`)."""

import sys

from faults.campaign import main

if __name__ == "__main__":
    sys.exit(main())

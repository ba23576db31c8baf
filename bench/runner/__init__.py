"""The runner: does a suite's runs, in whichever processes or machines."""

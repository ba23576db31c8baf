"""The runner: executes a suite's runs, in processes on this machine or on a cluster."""

"""Compiled kernels that replace the step-by-step loops of the recurrent layers."""

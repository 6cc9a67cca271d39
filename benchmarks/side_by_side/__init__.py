"""Environments in processes of their own that take turns: the parts of ``benchmarks/libero.py``."""

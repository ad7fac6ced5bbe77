"""Benchmarks: a plan's cells, each trained and scored in a process of its own, and their scores in one table."""

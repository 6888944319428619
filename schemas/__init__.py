"""Contracts: which topics exist, what a message on each holds, and how it becomes bytes."""

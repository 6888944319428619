"""The version that dead letters and metrics name."""

from importlib.metadata import version

VERSION = version("lethe")

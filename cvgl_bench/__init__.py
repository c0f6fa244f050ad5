"""Measure what corrupted street pictures do to cross-view geo-localization models."""

from cvgl_bench.version import __version__

__all__ = ["__version__"]

"""The version, apart from the package: whoever names it needs nothing else."""

__all__ = ["__version__"]

__version__ = "0.1.0"

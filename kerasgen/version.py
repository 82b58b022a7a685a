"""The version, where modules can read it that kerasgen itself imports."""

__version__ = "0.1.0"

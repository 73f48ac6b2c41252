"""The offline pipeline behind Viberary: from the UCSD Book Graph files to a published vector index."""

__version__ = "0.1.0"

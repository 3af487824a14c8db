"""The version of nodeprep. pyproject.toml names the same one; a test holds them together."""

VERSION = "0.2.0"

"""The version of the package, which pyproject.toml reads from here, and where its documentation is."""

__version__ = "0.1.0"


def reference(module: str) -> str:
    """Internal: return the address of a module's page in the reference, which is published with a release."""
    return f"https://fastprop-nn.readthedocs.io/en/stable/generated/api/{module}.html"

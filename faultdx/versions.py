"""The versions that a question or a fault report needs, found without importing what they belong to."""

from __future__ import annotations

from faultdx import __version__

# What decides about a result: the arithmetic, the network's two runtimes. Python and the platform are told besides.
PACKAGES = ("numpy", "onnxruntime", "torch")


def installed_version(package: str) -> str | None:
    """Return the version of an installed package from its metadata, None where it is not installed; no import."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except (metadata.PackageNotFoundError, KeyError):  # KeyError: metadata without a version, of a broken installation
        return None


def versions() -> dict[str, str | None]:
    """Return name -> version, in the order to show them: faultdx, python, packages, platform. None: not installed."""
    import platform

    found: dict[str, str | None] = {"faultdx": __version__, "python": platform.python_version()}
    found |= {name: installed_version(name) for name in PACKAGES}
    # not platform.platform(): it reads the interpreter's binary to find the version of the C library
    return found | {"platform": f"{platform.system()} {platform.release()} {platform.machine()}"}


def version_lines() -> list[str]:
    """Return what `faultdx --version` prints: `name version`, one a line, faultdx first."""
    return [f"{name} {version or 'not installed'}" for name, version in versions().items()]

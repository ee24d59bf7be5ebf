"""Python, the packages the workbench requires, its extras, and the notebook kernel."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from workbench.doctor.check import Check
from workbench.errors import EXIT_USAGE

DISTRIBUTION = "indexer-workbench"
KERNEL = "python3"

USES = {
    "distributed": "load from the workers of a Dask cluster (--engine dask)",
    "real": "the network around the real programs (--network) and their database",
    "exchange": "HdrHistogram's files (workbench export --to hdr, hgrm)",
}
"""What uses an extra. Left out: those only for building this project, its documentation and its tests."""

InstalledVersion = Callable[[str], str | None]


def checks() -> list[Check]:
    """Python, required packages, one row for each extra, and the kernel that notebooks run in."""
    try:
        about = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return [Check("packages", "failed", "the workbench is not installed", _pip("-e ."), exit_code=EXIT_USAGE)]
    requirements = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    return [
        python(platform.python_version(), SpecifierSet(about["Requires-Python"] or "")),
        *required(requirements, installed_version),
        *(
            extra(name, requirements, installed_version)
            for name in about.get_all("Provides-Extra") or []
            if name in USES
        ),
        kernelspec(),
    ]


def installed_version(distribution: str) -> str | None:
    """The installed version of a distribution, None if there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def python(version: str, wanted: SpecifierSet) -> Check:
    """The interpreter against ``requires-python``."""
    found = f"{version} at {sys.executable}"
    if wanted.contains(version, prereleases=True):
        return Check("python", "ok", found)
    mend = "python3.12 -m venv .venv && .venv/bin/pip install -e ."
    return Check("python", "failed", f"{found}, wanted {wanted}", mend, EXIT_USAGE)


def gaps(requirements: Iterable[Requirement], version_of: InstalledVersion) -> list[tuple[Requirement, str]]:
    """The requirements that are not met, each with what was found instead."""
    unmet = []
    for requirement in requirements:
        version = version_of(requirement.name)
        if version is None:
            unmet.append((requirement, "not installed"))
        elif not requirement.specifier.contains(version, prereleases=True):
            unmet.append((requirement, f"{version} installed"))
    return unmet


def required(requirements: list[Requirement], version_of: InstalledVersion) -> list[Check]:
    """One row when all required packages are there, else one for each that is not."""
    needed = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    unmet = gaps(needed, version_of)
    if not unmet:
        return [Check("packages", "ok", f"all {len(needed)} required packages in their ranges")]
    return [
        Check(
            requirement.name,
            "failed",
            f"{found}, wanted {requirement.specifier}",
            _pip(f"'{requirement.name}{requirement.specifier}'"),
            EXIT_USAGE,
        )
        for requirement, found in unmet
    ]


def extra(name: str, requirements: list[Requirement], version_of: InstalledVersion) -> Check:
    """The packages of one optional extra, in one row."""
    own = [
        r
        for r in requirements
        if r.marker and r.marker.evaluate({"extra": name}) and not r.marker.evaluate({"extra": ""})
    ]
    unmet = gaps(own, version_of)
    if not unmet:
        return Check(f"extra {name}", "ok", ", ".join(f"{r.name} {version_of(r.name)}" for r in own))
    found = ", ".join(f"{requirement.name} {what}" for requirement, what in unmet)
    found = f"{found}; optional, for {USES.get(name, 'nothing here')}"
    wanted = " ".join(f"'{requirement.name}{requirement.specifier}'" for requirement, _ in unmet)
    return Check(f"extra {name}", "missing", found, _pip(wanted))


def kernelspec() -> Check:
    """The kernel that notebooks name: it must be installed and run in this environment.

    Outside a virtualenv, or with JUPYTER_PREFER_ENV_PATH=0, a user's own kernel of the same name is used instead.
    """
    name, mend = f"kernel {KERNEL}", f"{sys.executable} -m ipykernel install --sys-prefix --name {KERNEL}"
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return Check(name, "failed", "jupyter_client is not installed", _pip("ipykernel"), EXIT_USAGE)
    try:
        spec = KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel:
        return Check(name, "failed", "not found; notebooks run in it", mend, EXIT_USAGE)
    program = Path(spec.argv[0] if spec.argv else "")
    # jupyter_client replaces a bare "python" by the running interpreter
    if program.name == str(program) or program.parent == Path(sys.executable).parent:
        return Check(name, "ok", spec.resource_dir)
    found = f"{spec.resource_dir} runs {program}, which is not this environment"
    return Check(name, "failed", found, mend, EXIT_USAGE)


def _pip(what: str) -> str:
    return f"{sys.executable} -m pip install {what}"

"""Prints the lowest versions of what hf_nli depends on, as constraints for pip.

Not PyTorch's: those of its releases that are older than the tests' own come with gigabytes of GPU libraries.
"""

from importlib import metadata

from packaging.requirements import Requirement

for requirement in map(Requirement, metadata.requires("hf-nli")):
    if requirement.marker is None and requirement.name != "torch":  # a marker is that of an extra
        (lowest,) = (bound.version for bound in requirement.specifier if bound.operator == ">=")
        print(f"{requirement.name}=={lowest}")

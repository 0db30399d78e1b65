"""The parts of the build that ``setup.cfg`` cannot express: the packages, and a build folder outside the checkout."""

from tempfile import TemporaryDirectory

from setuptools import find_packages, setup

PACKAGES = ["qasr", *(f"qasr.{name}" for name in find_packages(exclude=["tests", "tests.*", "tools", "tools.*"]))]

# In its default folders setuptools would leave a second copy of the package in the checkout.
with TemporaryDirectory(prefix="qasr-build-") as folder:
    setup(
        # Without the name, setuptools takes this file for a module of the package.
        script_name="setup.py",
        packages=PACKAGES,
        options={"build": {"build_base": folder}, "egg_info": {"egg_base": folder}},
    )

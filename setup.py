"""Tells catkin where the Python package lies (catkin_python_setup). pip reads pyproject.toml, and knows no catkin."""
from importlib.util import find_spec

from setuptools import find_packages, setup

DATA = {
    "duck_protection.dashboard": ["page/*"], "duck_protection.comparison": ["report.html"],
    "duck_protection.learning": ["evaluation.html"], "duck_protection.recording": ["page.css"],
}

if find_spec("catkin_pkg") is None:
    setup(package_data=DATA)
else:
    from catkin_pkg.python_setup import generate_distutils_setup

    setup(**generate_distutils_setup(packages=find_packages("src"), package_dir={"": "src"}, package_data=DATA))

"""Keeps a Duckiebot from running over ducks: frames in, verdicts out, a governor on the wheels.

The pure core, the modules of this folder, needs the standard library, numpy and Pillow only, runs on Python 3.8, and
imports neither ROS nor torch; the folders are rooms of their own. docs/architecture.md has the map.
"""

__version__ = "0.1.0"

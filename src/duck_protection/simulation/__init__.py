"""A Duckietown on a plain machine: the project's own town, ducks, camera and robot, in MuJoCo."""

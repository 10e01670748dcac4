"""The ROS side: one file per node, each its own executable. Only here is rospy imported."""

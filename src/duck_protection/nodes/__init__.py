"""The ROS side: NAME_node.py is an executable each, the others are their parts. Only here is rospy imported."""

"""Many short drives with the real judge, governor and model, and no ROS in between: what is hit, what caution costs."""


class CampaignError(Exception):
    """A campaign that cannot be driven; the message says why."""

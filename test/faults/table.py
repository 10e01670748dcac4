"""Every fault of the campaign, in the order of the table."""
from __future__ import annotations

from typing import List

import faults_of_camera
import faults_of_model
import faults_of_nodes
from fault import Fault

FAULTS: List[Fault] = [*faults_of_camera.FAULTS, *faults_of_model.FAULTS, *faults_of_nodes.FAULTS]

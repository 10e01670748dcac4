"""Where the duckling comes from: rendered frames, training, evaluation, thresholds."""

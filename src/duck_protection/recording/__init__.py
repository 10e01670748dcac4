"""What is kept of a drive and shown of it: overlay, video, timeline, numbers."""

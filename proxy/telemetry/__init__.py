"""What Weir tells about itself: metrics, logs, and the words both use."""

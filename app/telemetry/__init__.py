"""What the service says about itself: log lines, metrics, traces; never a picture, a word or a token."""

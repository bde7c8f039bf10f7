"""From an upload and words to maps: limits, decoding, models, answers, routes."""

"""A human study: its design, who is asked what, what was answered, and the owner's tools."""

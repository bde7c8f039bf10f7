"""A human study: its design, who is asked what, the answers, and the owner's tools."""

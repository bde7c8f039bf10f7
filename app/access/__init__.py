"""Access: API keys with scopes, signing in with one in a browser, and rate limits."""

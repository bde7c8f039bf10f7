"""Who may ask: API keys with scopes, signing in with one in a browser, and how often anybody may ask."""

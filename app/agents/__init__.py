"""The service for agents: the Model Context Protocol at `/mcp`."""

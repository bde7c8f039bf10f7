"""What every page and route of the service shares: problems, forms, pages of errors, headers, OpenAPI."""

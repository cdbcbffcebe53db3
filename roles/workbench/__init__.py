"""A junior's place as whoever works there by hand sees it: an interactive client, an MCP client, a person."""

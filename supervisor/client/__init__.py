"""All that screen, command line and MCP server ask of a lab: one call a verb."""

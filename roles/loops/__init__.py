"""What each agent's process does: a role's loop, from claiming a hypothesis to reflecting on its verdict."""

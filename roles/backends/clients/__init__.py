"""Agents as data: a TOML file says how a client is run and where its events say what; one backend runs them all."""

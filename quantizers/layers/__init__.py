"""Linear layers with a scheme, which compute exactly as the scheme defines."""

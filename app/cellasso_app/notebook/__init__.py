"""The explorer in a notebook, a template or an app of somebody's own."""

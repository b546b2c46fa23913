"""Interactive figures of tidy result tables, a module for each kind."""

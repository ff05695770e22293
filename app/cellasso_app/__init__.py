"""The explorer: a web page over cellasso, and the command line."""

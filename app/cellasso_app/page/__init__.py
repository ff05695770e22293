"""The explorer's page: its panels and views around one session."""

"""The parts that a page is made of, and the messages between browser and server."""

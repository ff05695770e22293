"""What an AnnData or MuData is: its features, its cells, its embeddings, its modalities."""

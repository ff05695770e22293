"""The selection and its export."""

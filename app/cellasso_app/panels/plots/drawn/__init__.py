"""Plots that `cellasso.pl` draws; imported when the first of them is asked for, as HoloViews takes a second."""

"""A run as one page of HTML: no script, nothing from outside, light and dark, for the screen and for paper."""

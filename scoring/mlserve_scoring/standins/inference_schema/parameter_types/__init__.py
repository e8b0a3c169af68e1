"""The kinds of parameters that can be declared."""

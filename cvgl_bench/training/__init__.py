"""How the reference methods are trained."""

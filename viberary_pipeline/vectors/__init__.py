"""The store that keeps every vector once, and the Arrow files that it is made of."""

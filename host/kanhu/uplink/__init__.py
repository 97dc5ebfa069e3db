"""Where events go out: the city platform."""

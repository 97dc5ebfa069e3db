from fixtures_town import make_city, make_town, town

__all__ = ["make_city", "make_town", "town"]

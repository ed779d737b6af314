"""URLs of a host that does not include those of the bridge."""

urlpatterns: list = []

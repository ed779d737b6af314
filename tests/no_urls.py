"""URLs of a host that forgot ours."""

urlpatterns: list = []

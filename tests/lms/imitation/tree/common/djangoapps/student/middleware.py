"""The platform's EmailChangeMiddleware, which takes each request's user for an account."""

from django.utils.deprecation import MiddlewareMixin


class EmailChangeMiddleware(MiddlewareMixin):
    def process_response(self, request, response):
        if request.user.is_authenticated and not request.session.get("email"):
            request.session["email"] = request.user.email
        return response

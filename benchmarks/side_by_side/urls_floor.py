"""The floor: one view for each verb, with a session, that reads and writes nothing else."""

import json
from typing import Any

from django.contrib.auth import authenticate, login
from django.middleware.csrf import get_token
from django.urls import path
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

_HEADER = json.dumps({"submission_id": 1, "submission_key": "k" * 32})
_SUBMISSION = json.dumps(
    {"xqueue_header": _HEADER, "xqueue_body": "x" * 2048, "xqueue_files": "{}"}
)


class Login(APIView):
    authentication_classes = [SessionAuthentication]
    permission_classes = [AllowAny]

    def get(self, request: Any) -> Response:
        get_token(request)
        return Response({"return_code": 0, "content": ""})

    def post(self, request: Any) -> Response:
        user = authenticate(
            request, username=request.data["username"], password=request.data["password"]
        )
        login(request, user)
        return Response({"return_code": 0, "content": "Logged in"})


class GetSubmission(APIView):
    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Any) -> Response:
        return Response({"return_code": 0, "content": _SUBMISSION})


class PutResult(APIView):
    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]

    def post(self, request: Any) -> Response:
        json.loads(request.data["xqueue_body"])
        return Response({"return_code": 0, "content": ""})


urlpatterns = [
    path("xqueue/login/", Login.as_view()),
    path("xqueue/get_submission/", GetSubmission.as_view()),
    path("xqueue/put_result/", PutResult.as_view()),
]

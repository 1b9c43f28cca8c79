"""HTTP building blocks of the services: ids, lists, errors, bodies and routes."""

from __future__ import annotations

from lawtags_stack.http.bodies import parse_json, read_limited, sent_fields, validate
from lawtags_stack.http.ids import check_name, new_id, sent_name, split_reference
from lawtags_stack.http.query import ListQuery, parse_list_query
from lawtags_stack.http.responses import JsonResponse, error_response, response_for_error, to_response
from lawtags_stack.http.routing import RouteCall, route
from lawtags_stack.http.select import EntityPage, select
from lawtags_stack.times import Clock, naive, read_moment, utc_now, zulu, zulu_seconds

__all__ = [
    "Clock",
    "EntityPage",
    "JsonResponse",
    "ListQuery",
    "RouteCall",
    "check_name",
    "error_response",
    "naive",
    "new_id",
    "parse_json",
    "parse_list_query",
    "read_limited",
    "read_moment",
    "response_for_error",
    "route",
    "select",
    "sent_fields",
    "sent_name",
    "split_reference",
    "to_response",
    "utc_now",
    "validate",
    "zulu",
    "zulu_seconds",
]

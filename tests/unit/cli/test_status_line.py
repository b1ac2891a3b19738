"""The line that tells how a search stands."""

from nas_service.cli.searches import status_line


def test_a_failed_search_says_why():
    search = {"name": "one", "state": "failed", "num_told": 5, "error": {"reason": "no_result", "message": "no trial"}}
    assert status_line(search) == "one: failed | 5 trials | no trial"

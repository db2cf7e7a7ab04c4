"""What tests of the service share."""

TOKEN = "a-token-of-many-letters"


def is_error(response, status, *said):
    """Return whether a response is an error in the one shape that says something."""
    assert response.status_code == status, response.text
    (name, error), *others = response.json().items()
    assert name == "error" and not others
    assert set(error) == {"status", "message", "accepted"} and error["status"] == status
    text = f"{error['message']} {error['accepted']}"
    assert all(part in text for part in said), text
    assert "Traceback" not in text and ".py" not in text
    return True

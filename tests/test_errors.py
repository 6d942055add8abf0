"""The user's mistakes are a family of their own."""

from protcontact.errors import InputError


def test_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)
    assert str(InputError("what; remedy")) == "what; remedy"

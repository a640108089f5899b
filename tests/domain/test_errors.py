import inspect
import re

from counterfoil.domain import errors


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """A reader finds every error in the drawing, under the class that says what the caller must do."""
    drawn: dict[str, str] = {}
    branch = ""
    for bar, name in re.findall(r"^ {4}(│?[│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        drawn[name] = branch if bar else "CounterfoilError"
        branch = branch if bar else name
    raised = {
        name: cls.__bases__[0].__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.CounterfoilError) and cls is not errors.CounterfoilError
    }
    assert drawn == raised

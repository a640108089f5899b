"""What an operation of the API is given, and where it is found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox.account import Account, Cause
from stripe_sandbox.errors import missing_object
from stripe_sandbox.params import Parameters
from stripe_sandbox.records import Cursor, Object, Records


@dataclass(frozen=True, slots=True)
class Call:
    """One request that has been understood: its parameters are read and allowed.

    Attributes:
        account: the mode that its key opens.
        cause: what events will name as their reason.
        params: only what was sent; see `params`.
        path: ids in the address, by the name that Stripe uses in `param`.
        base_url: how the client reached the sandbox, for addresses in answers.
        url: the path as requested, for lists.
    """

    account: Account
    cause: Cause
    params: Mapping[str, Any]
    path: Mapping[str, str]
    base_url: str
    url: str

    def subject(self, records: Records, noun: str, name: str) -> Object:
        """The object that the path names.

        Raises:
            RefusedError: 404, there is none.
        """
        identifier = self.path[name]
        record = records.get(identifier)
        if record is None:
            raise missing_object(noun, identifier, name, status=404)
        return record

    def listed(self, records: Records, noun: str, wanted: Callable[[Object], bool] | None = None) -> dict[str, Any]:
        """A page of Stripe's list object, filtered by `created` and by what is wanted.

        Raises:
            RefusedError: the cursor is unknown.
        """
        cursor = Cursor(
            self.params.get("limit", 10), self.params.get("starting_after"), self.params.get("ending_before")
        )
        created = self.params.get("created")

        def fits(record: Object) -> bool:
            return (created is None or within(record["created"], created)) and (wanted is None or wanted(record))

        try:
            page = records.page(cursor, fits)
        except KeyError as error:
            param = "ending_before" if cursor.ending_before is not None else "starting_after"
            raise missing_object(noun, str(error.args[0]), param) from error
        return {"object": "list", "data": page.objects, "has_more": page.has_more, "url": self.url}


def within(moment: int, created: int | Mapping[str, int]) -> bool:
    """Whether a time of creation meets the filter, an exact second or `gt`, `gte`, `lt`, `lte`."""
    if isinstance(created, int):
        return moment == created
    return (
        moment > created.get("gt", moment - 1)
        and moment >= created.get("gte", moment)
        and moment < created.get("lt", moment + 1)
        and moment <= created.get("lte", moment)
    )


def nothing_more(params: Mapping[str, Any]) -> None:
    """The check of operations whose parameters say it all."""
    _ = params


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of the API.

    Attributes:
        method: GET, POST or DELETE.
        path: with `{names}` for ids.
        run: carries it out, at once and without interruption.
        returns: the object type in the answer (of a list's entries), for `expand`.
        parameters: what may be sent.
        check: refuses combinations of parameters before execution begins.
    """

    method: str
    path: str
    run: Callable[[Call], Mapping[str, Any]]
    returns: str
    parameters: Parameters = field(default_factory=Parameters)
    check: Callable[[Mapping[str, Any]], None] = nothing_more

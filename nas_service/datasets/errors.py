"""The one error of data sets: where it went wrong, what is wrong, what is allowed instead."""


class DatasetError(ValueError):
    """A data set that cannot be used.

    `where` names the place (a file, a column, a row, a parameter), `what` says what is wrong there and `allowed` what
    would be accepted, so that the API and the CLI can show the three apart.
    """

    def __init__(self, where: str, what: str, allowed: str = "") -> None:
        self.where = where
        self.what = what
        self.allowed = allowed
        super().__init__(f"{where}: {what}" + (f" (allowed: {allowed})" if allowed else ""))

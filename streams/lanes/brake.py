"""The brake: a lane that refuses too much stops instead of emptying a topic into dead letters."""


class TooManyRejectsError(RuntimeError):
    """Raised by ``Brake.judge``: something is wrong with the producers, or with us."""


class Brake:
    """Judges the share of refused messages over the last ``window`` or so.

    Half of what it remembers is forgotten whenever the window is full, so that old good messages
    do not hide new bad ones for long.
    """

    def __init__(self, ratio: float, window: int) -> None:
        self.ratio = ratio
        self.window = window
        self.seen = 0
        self.refused = 0

    def judge(self, seen: int, refused: int) -> None:
        """Count a batch; raise TooManyRejectsError when a full window holds too many refusals.

        Call it before anything of the batch is published or committed: the batch then waits on its
        topic until an operator has looked.
        """
        self.seen += seen
        self.refused += refused
        if self.seen < self.window:
            return
        if self.refused > self.ratio * self.seen:
            raise TooManyRejectsError(
                f"{self.refused} of {self.seen} messages refused (limit {self.ratio:.0%}); "
                "see lethe status for the reasons, or raise lanes.reject_ratio"
            )
        self.seen //= 2
        self.refused //= 2

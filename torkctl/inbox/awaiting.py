"""Which job's result belongs beside which file, until it is there.

Invariant: a file's result is that of the last job it was submitted as.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torkctl import diagnostics
from torkctl.inbox.claims import Claims
from torkctl.inbox.folder import Folder, reason
from torkctl.inbox.happenings import Happening, Kind, Tell
from torkctl.inbox.ledger import Awaited, Ledger
from torkctl.inbox.names import RESULT_SUFFIX, shown
from torkctl.inbox.results import Ended, Results


@dataclass(kw_only=True)
class Awaiting:
    """The jobs that are waited for, and the results that are to be written."""

    folder: Folder
    ledger: Ledger
    claims: Claims
    results: Results
    tell: Tell
    _names: dict[str, dict[str, None]] = field(default_factory=dict)
    """Of each job, the files that it was submitted as."""

    _latest: dict[str, str] = field(default_factory=dict)
    """Of each file whose result is still to be written, the job that it is of."""

    _unwritten: list[Ended] = field(default_factory=list)

    def add(self, job_id: str, name: str, *, is_news: bool) -> None:
        """The file was submitted as this job. Unless that is news, a result that is there is this job's. Raises `OSError`."""
        if self._latest.get(name) == job_id:
            return
        if self.folder.has_beside(name, RESULT_SUFFIX):
            if not is_news:
                return
            self.folder.remove_beside(name, RESULT_SUFFIX)
        if earlier := self._latest.get(name):
            self.ledger.awaits_no_more(Awaited(job_id=earlier, name=name))
        self.ledger.awaits(Awaited(job_id=job_id, name=name))
        self._follow(Awaited(job_id=job_id, name=name))

    def adopt(self) -> None:
        """Wait for those jobs too that were left behind by a watcher that is no more; the youngest of a file is its last."""
        for awaited in self.ledger.all_awaited():
            if self.claims.take(_claim(awaited)):
                self._follow(awaited)

    def is_over(self) -> bool:
        """Whether nothing is waited for, but for what can't be written."""
        return len(self._names) == len(self._unwritten)

    def has_unwritten(self) -> bool:
        """Whether there are results that can't be written."""
        return bool(self._unwritten)

    def ended(self, ended: Ended) -> None:
        """Write the result beside each of the files."""
        for name in self._names.get(ended.job_id, {}):
            if ended.job is not None:
                self.tell(Happening(kind=Kind.ENDED, file=name, id=ended.job_id, job=ended.job))
            else:
                diagnostics.warning(f"{shown(name)}: the server has no job {ended.job_id} any more")
        self._write(ended)

    def try_again(self) -> None:
        """Write what could not be written before."""
        unwritten, self._unwritten = self._unwritten, []
        for ended in unwritten:
            self._write(ended)

    def _write(self, ended: Ended) -> None:
        from torkctl.output.stdout import document_text
        from torkctl.settings import OutputFormat

        names = self._names.pop(ended.job_id, {})
        while names:
            name, _ = names.popitem()
            try:
                if ended.job is not None and self._latest.get(name) == ended.job_id:
                    text = document_text(ended.document, OutputFormat.JSON)
                    self.folder.write_beside(name, RESULT_SUFFIX, text.encode())
            except OSError as error:
                diagnostics.warning(f"{shown(name)}{RESULT_SUFFIX} can't be written: {reason(error)}")
                self._names[ended.job_id] = {name: None, **names}
                self._unwritten.append(ended)
                return
            if self._latest.get(name) == ended.job_id:
                del self._latest[name]
            awaited = Awaited(job_id=ended.job_id, name=name)
            self.ledger.awaits_no_more(awaited)
            self.claims.drop(_claim(awaited))

    def _follow(self, awaited: Awaited) -> None:
        self.claims.take(_claim(awaited))
        self._latest[awaited.name] = awaited.job_id
        if awaited.job_id not in self._names:
            self.results.add(awaited.job_id)
        self._names.setdefault(awaited.job_id, {})[awaited.name] = None


def _claim(awaited: Awaited) -> str:
    return f"{awaited.job_id} {awaited.name!r}"
